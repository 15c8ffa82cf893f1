#pragma once
// The pre-tokenizers of tokenizer.json: text to the pieces that the model sees.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "fields.h"
#include "model.h"
#include "pattern.h"
#include "piece.h"

namespace qloft::tokenizer {

// What happens to the pieces between which a match lies (tokenizers' SplitDelimiterBehavior).
enum class SplitBehavior : std::uint8_t {
  removed,
  isolated,
  merged_with_previous,
  merged_with_next,
  contiguous,
};

class PreTokenizer {
 public:
  struct Split {
    Pattern pattern;
    SplitBehavior behavior;
    bool invert;
  };
  // Matches are single characters of these classes.
  struct SplitByClass {
    std::uint16_t classes;
    SplitBehavior behavior;
  };
  struct Words {};  // Whitespace: \w+|[^\w\s]+
  struct ByteLevel {
    bool add_prefix_space;
    bool use_regex;
    bool as_characters;  // false: the model takes the bytes as they are
  };
  struct Metaspace {
    std::string replacement;
    enum class Prepend : std::uint8_t { first, never, always } prepend;
    bool split;
  };

  PreTokenizer() = default;
  // Throws InputError naming the field; an unknown type with the known ones.
  static PreTokenizer read(const Field& field);

  // Whether the last step makes byte-level characters and none before does: then the model may read
  // the bytes themselves.
  bool ends_in_byte_level() const;
  void leave_raw_bytes();

  // Sends each piece of `piece` to the model, in order.
  void run(const Piece& piece, const Model& model, const TokenSink& tokens) const {
    run_from(0, piece, model, tokens);
  }

 private:
  using Step = std::variant<Split, SplitByClass, Words, ByteLevel, Metaspace>;
  void add(const Field& field);
  void run_from(std::size_t step, const Piece& piece, const Model& model,
                const TokenSink& tokens) const;
  std::vector<Step> steps_;
};

}  // namespace qloft::tokenizer
