#pragma once
// The normalizers of tokenizer.json.

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fields.h"
#include "pattern.h"
#include "unicode.h"

namespace qloft::tokenizer {

// Text and how many of its leading bytes stem from the first character of the whole input.
struct NormalizedText {
  std::string text;
  std::size_t first_bytes = 0;
};

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

  Normalizer() = default;
  // Throws InputError naming the field; an unknown type with the known ones.
  static Normalizer read(const Field& field);

  bool empty() const { return steps_.empty(); }
  void apply(NormalizedText& text) const;
  std::string apply(std::string_view text) const;

 private:
  using Step = std::variant<Prepend, Replace, Form, Lowercase, StripAccents, Strip>;
  void add(const Field& field);
  std::vector<Step> steps_;
};

}  // namespace qloft::tokenizer
