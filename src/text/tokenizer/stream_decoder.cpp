#include <algorithm>

#include "tokenizer/state.h"
#include "tokenizer/unicode.h"

namespace qloft::text {
namespace {

constexpr std::size_t kPrimed = 8;       // ids of a prompt that are enough as context
constexpr std::size_t kLongestPart = 3;  // bytes of a character but its last

}  // namespace

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

void StreamDecoder::prime(std::span<const TokenId> ids) {
  // The last few ids tell all that decoding asks for, if their text begins with a whole character.
  for (std::size_t count = std::min(kPrimed, ids.size());;
       count = std::min(2 * count, ids.size())) {
    const auto last = ids.last(count);
    emitted_ = tokenizer_.decode(last, skip_special_);
    context_.assign(last.begin(), last.end());
    const bool whole = !emitted_.empty() && !emitted_.starts_with(kReplacementCharacter);
    if (whole || count == ids.size()) break;
  }
  fresh_.clear();
  if (ends_in_a_character()) return;
  for (std::size_t i = 0; i < kLongestPart && emitted_.ends_with(kReplacementCharacter); ++i) {
    emitted_.resize(emitted_.size() - kReplacementCharacter.size());
  }
}

std::string StreamDecoder::push(TokenId id) {
  fresh_.push_back(id);
  return ends_in_a_character() ? advance() : std::string();
}

std::string StreamDecoder::finish() {
  std::string rest = advance();
  context_.clear();
  fresh_.clear();
  emitted_.clear();
  return rest;
}

bool StreamDecoder::ends_in_a_character() const {
  std::string tail;
  const auto collect = [&](const std::vector<TokenId>& ids) {
    for (auto id = ids.rbegin(); id != ids.rend() && tail.size() < kLongestPart; ++id) {
      tail.insert(0, tokenizer_.state_->bytes(*id, skip_special_));
    }
  };
  collect(fresh_);
  collect(context_);
  return !ends_in_part_of_a_character(tail);
}

std::string StreamDecoder::advance() {
  if (fresh_.empty()) return {};
  std::vector<TokenId> ids = context_;
  ids.insert(ids.end(), fresh_.begin(), fresh_.end());
  std::string text = tokenizer_.decode(ids, skip_special_);
  if (!text.starts_with(emitted_)) {
    // A byte that breaks the run of bytes of which the start was given out: go on behind that.
    emitted_.clear();
    text = tokenizer_.decode(fresh_, skip_special_);
    context_.clear();
  }
  std::string result = text.substr(emitted_.size());
  if (result.empty()) {
    // Nothing to see yet (a token that is left out, a space that is stripped): it is context too.
    context_ = std::move(ids);
  } else {
    context_ = std::move(fresh_);
    text = tokenizer_.decode(context_, skip_special_);
  }
  emitted_ = std::move(text);
  fresh_.clear();
  return result;
}

}  // namespace qloft::text
