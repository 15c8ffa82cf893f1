#include <algorithm>

#include "qloft/text/tokenizer.h"
#include "tokenizer/unicode.h"

namespace qloft::text {
namespace {

// A broken end of text shows as at most three U+FFFD: the bytes of a character but its last.
constexpr std::size_t kHeldBack = 3;
constexpr std::size_t kPrimed = 8;

std::string_view complete_part(std::string_view text) {
  for (std::size_t i = 0; i < kHeldBack && text.ends_with(kReplacementCharacter); ++i) {
    text.remove_suffix(kReplacementCharacter.size());
  }
  return text;
}

}  // namespace

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

void StreamDecoder::prime(std::span<const TokenId> ids) {
  // The last few ids tell all that decoding asks for, if their text begins with a whole character.
  std::size_t count = std::min(kPrimed, ids.size());
  for (;; count = std::min(2 * count, ids.size())) {
    const auto last = ids.last(count);
    emitted_ = tokenizer_.decode(last, skip_special_);
    context_.assign(last.begin(), last.end());
    const bool whole = !emitted_.empty() && !emitted_.starts_with(kReplacementCharacter);
    if (whole || count == ids.size()) break;
  }
  emitted_ = std::string(complete_part(emitted_));
  fresh_.clear();
}

std::string StreamDecoder::push(TokenId id) {
  fresh_.push_back(id);
  return advance(false);
}

std::string StreamDecoder::finish() {
  std::string rest = advance(true);
  context_.clear();
  fresh_.clear();
  emitted_.clear();
  return rest;
}

std::string StreamDecoder::advance(bool all) {
  if (fresh_.empty()) return {};
  std::vector<TokenId> ids = context_;
  ids.insert(ids.end(), fresh_.begin(), fresh_.end());
  std::string text = tokenizer_.decode(ids, skip_special_);
  std::string_view whole = all ? std::string_view(text) : complete_part(text);
  if (whole.size() < emitted_.size()) return {};
  if (!whole.starts_with(emitted_)) {
    // A run of bytes that now breaks what was given out already: go on behind that.
    context_.clear();
    emitted_.clear();
    text = tokenizer_.decode(fresh_, skip_special_);
    whole = all ? std::string_view(text) : complete_part(text);
  }
  std::string result(whole.substr(emitted_.size()));
  emitted_ = std::string(whole);
  if (whole.size() == text.size() && !result.empty()) {
    // A clean cut: what came since the last one is all the context that is needed.
    context_ = std::move(fresh_);
    fresh_.clear();
    emitted_ = tokenizer_.decode(context_, skip_special_);
  }
  return result;
}

}  // namespace qloft::text
