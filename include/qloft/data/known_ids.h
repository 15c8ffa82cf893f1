#pragma once
// Ids that a model has no row for: a tokenizer may have tokens for which it was never resized.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/tokenizer.h"

namespace qloft::data {

// Throws InputError at `at` for the first id that is not below `vocabulary_size`, the rows of the
// model's embedding; 0: any will do.
void expect_known_ids(std::span<const tokenizer::TokenId> ids, std::int64_t vocabulary_size,
                      const tokenizer::Tokenizer& tokenizer, const ErrorLocation& at);

// The ids of a text file as a whole. Throws InputError that names the line and the token.
std::vector<tokenizer::TokenId> read_text_ids(const std::filesystem::path& file,
                                              std::int64_t vocabulary_size,
                                              const tokenizer::Tokenizer& tokenizer);

}  // namespace qloft::data
