#include "writer.h"

#include <algorithm>

namespace qloft::generate {

std::size_t held_back(std::string_view text, const std::vector<std::string>& stop) {
  std::size_t longest = 0;
  for (const std::string& word : stop) {
    if (word.empty()) continue;
    for (std::size_t n = std::min(word.size() - 1, text.size()); n > longest; --n) {
      if (text.ends_with(std::string_view(word).substr(0, n))) longest = n;
    }
  }
  return longest;
}

TextWriter::TextWriter(const tokenizer::Tokenizer& tokenizer, const std::vector<std::string>& stop,
                       const Sink& sink)
    : decoder_(tokenizer, true), stop_(stop), sink_(sink) {}

bool TextWriter::push(tokenizer::TokenId id) {
  const std::size_t before = text_.size();
  text_ += decoder_.push(id);
  std::size_t end = std::string::npos;
  for (const std::string& word : stop_) {
    if (word.empty()) continue;
    const std::size_t from = before >= word.size() ? before - word.size() + 1 : 0;
    end = std::min(end, text_.find(word, from));
  }
  if (end != std::string::npos) {
    text_.resize(end);
    met_stop_string_ = true;
    release(end);
    return false;
  }
  release(text_.size() - held_back(text_, stop_));
  return !sink_ended_;
}

void TextWriter::finish() {
  if (!met_stop_string_) text_ += decoder_.finish();
  release(text_.size());
}

void TextWriter::release(std::size_t end) {
  if (end <= released_) return;
  const std::string_view piece = std::string_view(text_).substr(released_, end - released_);
  released_ = end;
  if (sink_ && !sink_ended_ && !sink_(piece)) sink_ended_ = true;
}

}  // namespace qloft::generate
