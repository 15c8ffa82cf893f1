#pragma once
// The post-processors of tokenizer.json for a single sequence: which ids stand around the text's.

#include <vector>

#include "fields.h"
#include "qloft/tokenizer.h"

namespace qloft::tokenizer {

class PostProcessor {
 public:
  PostProcessor() = default;
  PostProcessor(std::vector<TokenId> before, std::vector<TokenId> after);
  // Throws InputError naming the field; an unknown type with the known ones. `id_end`: ids must lie
  // below it.
  static PostProcessor read(const Field& field, std::int64_t id_end);

  // The ids of the whole from those of the text. Without `special` only the text's ids stay.
  std::vector<TokenId> apply(std::vector<TokenId> text, bool special) const;

 private:
  // The special ids, and the text where `text` is true.
  struct Part {
    bool text;
    std::vector<TokenId> ids;
  };
  using Template = std::vector<Part>;
  void add(const Field& field, std::int64_t id_end);
  std::vector<Template> templates_;
};

}  // namespace qloft::tokenizer
