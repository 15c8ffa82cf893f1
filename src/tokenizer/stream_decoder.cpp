#include <algorithm>

#include "state.h"
#include "unicode.h"

namespace qloft::tokenizer {
namespace {

constexpr std::size_t kPrimed = 8;       // ids of a prompt that are enough as context
constexpr std::size_t kLongestPart = 3;  // bytes of a character but its last

}  // namespace

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

void StreamDecoder::prime(std::span<const TokenId> ids) {
  context_.assign(ids.begin(), ids.end());
  fresh_.clear();
  // The ids from which an unfinished character at the end comes are no context yet.
  while (unfinished_tail() > 0) context_.pop_back();
  fresh_.assign(ids.begin() + static_cast<std::ptrdiff_t>(context_.size()), ids.end());
  // The last few ids tell all that decoding asks for, if their text begins with a whole character.
  const std::vector<TokenId> all = context_;
  for (std::size_t count = std::min(kPrimed, all.size());;
       count = std::min(2 * count, all.size())) {
    context_.assign(all.end() - static_cast<std::ptrdiff_t>(count), all.end());
    const std::string text = tokenizer_.decode(context_, skip_special_);
    const bool whole = !text.empty() && !text.starts_with(kReplacementCharacter);
    if (whole || count == all.size()) break;
  }
  emitted_ = tokenizer_.decode(context_, skip_special_);
  // The first of them may hold the end of other text too.
  std::string shown = decode_all();
  for (std::size_t i = 0; i < std::min(fresh_.size(), kLongestPart); ++i) {
    if (!shown.ends_with(kReplacementCharacter)) break;
    shown.resize(shown.size() - kReplacementCharacter.size());
  }
  if (!fresh_.empty() && shown.starts_with(emitted_)) emitted_ = std::move(shown);
}

std::string StreamDecoder::push(TokenId id) {
  fresh_.push_back(id);
  const std::size_t unfinished = unfinished_tail();
  if (unfinished == 0) return advance();
  // A token that ends a character and begins another: the first can go.
  if (tokenizer_.state_->bytes(id, skip_special_).size() <= unfinished) return {};
  std::string text = decode_all();
  if (text.ends_with(kReplacementCharacter)) {
    text.resize(text.size() - kReplacementCharacter.size());
  }
  if (!text.starts_with(emitted_)) return {};
  std::string result = text.substr(emitted_.size());
  emitted_ = std::move(text);
  return result;
}

std::string StreamDecoder::finish() {
  std::string rest = advance();
  context_.clear();
  fresh_.clear();
  emitted_.clear();
  return rest;
}

std::string StreamDecoder::decode_all() const {
  std::vector<TokenId> ids = context_;
  ids.insert(ids.end(), fresh_.begin(), fresh_.end());
  return tokenizer_.decode(ids, skip_special_);
}

void StreamDecoder::prepend_tail(const std::vector<TokenId>& ids, std::string& tail) const {
  for (auto id = ids.rbegin(); id != ids.rend() && tail.size() < kLongestPart; ++id) {
    tail.insert(0, tokenizer_.state_->bytes(*id, skip_special_));
  }
}

std::size_t StreamDecoder::unfinished_tail() const {
  std::string tail;
  prepend_tail(fresh_, tail);
  prepend_tail(context_, tail);
  return unfinished_bytes(tail);
}

std::string StreamDecoder::advance() {
  if (fresh_.empty()) return {};
  std::string text = decode_all();
  if (!text.starts_with(emitted_)) {
    // A byte that breaks the run of bytes of which the start was given out: go on behind that.
    emitted_.clear();
    context_.clear();
    text = tokenizer_.decode(fresh_, skip_special_);
  }
  std::string result = text.substr(emitted_.size());
  if (result.empty()) {
    // Nothing to see yet (a token that is left out, a space that is stripped): it is context too.
    context_.insert(context_.end(), fresh_.begin(), fresh_.end());
  } else {
    context_ = std::move(fresh_);
    text = tokenizer_.decode(context_, skip_special_);
  }
  emitted_ = std::move(text);
  fresh_.clear();
  return result;
}

}  // namespace qloft::tokenizer
