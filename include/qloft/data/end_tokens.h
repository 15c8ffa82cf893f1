#pragma once
// Where a text ends, the same for training and for generation.

#include <filesystem>
#include <optional>
#include <vector>

#include "qloft/chat_template.h"
#include "qloft/tokenizer.h"

namespace qloft::data {

struct EndTokens {
  std::vector<tokenizer::TokenId> ids;         // a generation ends at each of them
  std::optional<tokenizer::TokenId> appended;  // what training puts behind a text or an answer
};

// ids: eos_token_id of generation_config.json, or where that has none of config.json, and the
// tokenizer's eos. appended: the tokenizer's eos, or where it has none the first of the others.
EndTokens end_tokens(const std::filesystem::path& model_folder,
                     const tokenizer::Tokenizer& tokenizer);

// The special token that the template puts behind an assistant's answer; none where it puts none.
std::optional<tokenizer::TokenId> turn_end(const tokenizer::Tokenizer& tokenizer,
                                           const chat_template::ChatTemplate& chat);

}  // namespace qloft::data
