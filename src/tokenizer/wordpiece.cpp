#include "wordpiece.h"

#include <algorithm>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::tokenizer {
namespace {

bool begins_character(std::string_view text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

}  // namespace

WordPiece::WordPiece(Vocabulary vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  for (std::size_t id = 0; id < vocabulary_.id_end(); ++id) {
    const std::string* token = vocabulary_.token(static_cast<TokenId>(id));
    if (token != nullptr) longest_token_ = std::max(longest_token_, token->size());
  }
}

void WordPiece::encode(std::string_view word, std::vector<TokenId>& ids,
                       std::vector<std::uint32_t>* lengths) const {
  if (word.empty()) return;
  const std::size_t before = ids.size();
  const std::size_t lengths_before = lengths == nullptr ? 0 : lengths->size();
  const auto add = [&](TokenId id, std::size_t bytes) {
    ids.push_back(id);
    if (lengths != nullptr) lengths->push_back(static_cast<std::uint32_t>(bytes));
  };
  std::int64_t count = 0;
  for (std::size_t i = 0; i < word.size(); ++i) count += begins_character(word, i) ? 1 : 0;
  bool known = count <= options_.longest_word;
  std::string token;
  for (std::size_t begin = 0; known && begin < word.size();) {
    token = begin > 0 ? options_.continuing_prefix : std::string();
    const std::size_t prefix = token.size();
    const std::size_t most = longest_token_ > prefix ? longest_token_ - prefix : 0;
    token += word.substr(begin, most);
    known = false;
    for (std::size_t end = begin + token.size() - prefix; end > begin; --end) {
      if (!begins_character(word, end)) continue;
      token.resize(prefix + end - begin);
      if (const auto id = vocabulary_.find(token)) {
        add(*id, end - begin);
        begin = end;
        known = true;
        break;
      }
    }
  }
  if (known) return;
  ids.resize(before);
  if (lengths != nullptr) lengths->resize(lengths_before);
  const auto unknown = vocabulary_.find(options_.unknown);
  if (!unknown) {
    throw InputError({{}, "model.unk_token"},
                     "expected a token of model.vocab for text that has none, found \"" +
                         options_.unknown + "\"");
  }
  add(*unknown, word.size());
}

}  // namespace qloft::tokenizer
