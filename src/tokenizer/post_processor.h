#pragma once
// The post-processors of tokenizer.json: which ids stand around those of a text or a pair of texts,
// and which spaces no token counts as its own.

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fields.h"
#include "qloft/tokenizer.h"

namespace qloft::tokenizer {

class PostProcessor {
 public:
  PostProcessor() = default;
  PostProcessor(const std::vector<TokenId>& before, const std::vector<TokenId>& after);
  // The same with a pair of texts, one behind the other, between them as one.
  static PostProcessor around(const std::vector<TokenId>& before,
                              const std::vector<TokenId>& after);
  // Throws InputError naming the field; an unknown type with the known ones. `id_end`: ids must lie
  // below it.
  static PostProcessor read(const Field& field, std::int64_t id_end);

  bool is_given() const { return !steps_.empty(); }

  // The ids of the whole from those of the text. Without `special` only the text's ids stay.
  std::vector<TokenId> apply(std::vector<TokenId> text, bool special) const;

  // How many ids apply() adds.
  std::int64_t added(bool pair) const;
  // The whole from one or two texts, with all their windows. `token` gives the string of one of
  // their ids, as it was found.
  using TokenText = std::function<std::string_view(const Encoding&, std::size_t)>;
  Encoding apply(std::vector<Encoding> texts, bool special, const TokenText& token) const;

 private:
  // Special ids, or the text of that number.
  struct Part {
    int text = -1;
    std::int32_t type = 0;
    std::vector<TokenId> ids = {};
  };
  struct Template {
    std::vector<Part> single, pair;
    // The types of all windows count, not of the first alone, and those of the texts also where
    // nothing is added (RobertaProcessing).
    bool one_type = false;
    bool keeps_types = false;  // of the texts (BertProcessing)
  };
  // Spaces at either end of a token are not its own; one before the first is, where it was added.
  struct TrimOffsets {
    bool add_prefix_space;
  };

  void add(const Field& field, std::int64_t id_end);
  static std::vector<Part> read_parts(const Field& field, std::string_view member,
                                      std::int64_t id_end);
  static void trim(Encoding& text, bool add_prefix_space, const TokenText& token);
  static std::vector<Encoding> fill(const Template& step, std::vector<Encoding> texts,
                                    bool special);

  std::vector<std::variant<Template, TrimOffsets>> steps_;
};

}  // namespace qloft::tokenizer
