#pragma once
// How a tokenizer marks the language of a text; qloft/tokenizer/language.h has the two ways.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "fields.h"
#include "pipeline.h"

namespace qloft::tokenizer {

struct Languages {
  enum class Place : std::uint8_t { none, behind, before };
  Place place = Place::none;
  std::string source, target;  // by tokenizer_config.json; an empty target: the source's
};

// By tokenizer_class of tokenizer_config.json (`config`), else by model_type of config.json.
Languages read_languages(const std::filesystem::path& folder, const std::optional<Field>& config);

// The id of a language's code; nullopt: the pipeline has none such.
std::optional<TokenId> find_language(const Pipeline& pipeline, std::string_view code);

// What stands around a text: the code, and `end`.
PostProcessor language_ends(Languages::Place place, TokenId code, TokenId end);

}  // namespace qloft::tokenizer
