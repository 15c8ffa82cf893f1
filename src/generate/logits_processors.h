#pragma once
// What is done to the scores of the next token before one is chosen: transformers' logits
// processors. Scores are logits, or of beam search log-probabilities.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "qloft/generate.h"

namespace qloft::generate {

// The score of a token that must not come.
inline constexpr float kNever = -std::numeric_limits<float>::infinity();

// A sequence whose next token is to be chosen.
struct Progressed {
  std::span<const tokenizer::TokenId> ids;  // prompt and new ones
  std::int64_t prompt = 0;                  // tokens of the prompt
  std::int64_t max_length = 0;              // of ids when it is complete
  std::span<const tokenizer::TokenId> eos;
  std::span<const tokenizer::TokenId> source;  // what an encoder reads; else the prompt
};

// All of `processors` in their order but the last, renormalize, which comes after filters of draws.
void process(const LogitsProcessors& processors, const Progressed& sequence,
             std::span<float> scores);

// Divides the positive and multiplies the negative scores of the ids in `seen` by the penalty, each
// id once (Keskar et al. 2019).
void penalize_repetition(std::span<float> scores, std::span<const tokenizer::TokenId> seen,
                         double penalty);
// No token that would end a sequence of `size` tokens that `seen` has already; `ids` are those
// before it.
void forbid_repeated_ngrams(std::span<float> scores, std::span<const tokenizer::TokenId> seen,
                            std::span<const tokenizer::TokenId> ids, std::int64_t size);
// Logits become log-probabilities.
void renormalize(std::span<float> scores);

}  // namespace qloft::generate
