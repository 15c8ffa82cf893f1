#pragma once
// A text, or a pair of texts, as an encoder reads it: ids with their types, which of them are
// added around the texts, and the characters that each stands for.

#include <cstdint>
#include <string_view>
#include <vector>

namespace qloft::tokenizer {

using TokenId = std::int32_t;

// Characters (code points, not bytes) [begin, end) of a text.
struct CharacterSpan {
  std::int32_t begin = 0, end = 0;
  bool operator==(const CharacterSpan&) const = default;
};

// All lists have the length of ids. Fields are those of transformers' BatchEncoding: input_ids,
// token_type_ids, special_tokens_mask, offset_mapping, sequence_ids.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::int32_t> type_ids;
  std::vector<std::uint8_t> special;    // 1: added around the texts
  std::vector<CharacterSpan> offsets;   // into the text of the id; [0, 0) where special
  std::vector<std::int8_t> sequence;    // 0: of the first text, 1: of the second, -1: special
  std::vector<Encoding> overflow = {};  // the further windows of what truncation cut off

  std::int64_t size() const { return static_cast<std::int64_t>(ids.size()); }
};

// Which text is cut where both do not fit. longest_first: the longer one, then both alike.
enum class Truncation : std::uint8_t { none, longest_first, only_first, only_second };

struct EncodeOptions {
  bool special = true;  // let the post-processor add its tokens
  Truncation truncation = Truncation::none;
  std::int64_t max_length = 0;  // ids of a window, special ones included; of Truncation::none none
  std::int64_t stride = 0;      // ids of the cut text that a window shares with the one before
  bool cut_left = false;        // cut off the beginning of a text, not its end
};

// Characters [span.begin, span.end) of valid UTF-8, as far as they are there.
std::string_view characters(std::string_view text, CharacterSpan span);

}  // namespace qloft::tokenizer
