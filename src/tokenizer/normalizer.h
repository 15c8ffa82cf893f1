#pragma once
// The normalizers of tokenizer.json.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "character_map.h"
#include "fields.h"
#include "normalized_text.h"
#include "pattern.h"
#include "unicode.h"

namespace qloft::tokenizer {

class Normalizer {
 public:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct Form {
    NormalForm form;
  };
  struct Lowercase {};
  struct StripAccents {};
  struct Strip {
    bool left, right;
  };
  struct Bert {
    bool clean_text, ideographs, strip_accents, lowercase;
  };

  Normalizer() = default;
  // Throws InputError naming the field; an unknown type with the known ones.
  static Normalizer read(const Field& field);

  bool empty() const { return steps_.empty(); }
  void apply(NormalizedText& text) const;
  std::string apply(std::string_view text) const;

 private:
  using Step =
      std::variant<Prepend, Replace, Form, Lowercase, StripAccents, Strip, Bert, CharacterMap>;
  void add(const Field& field);
  std::vector<Step> steps_;
};

}  // namespace qloft::tokenizer
