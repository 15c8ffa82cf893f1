#pragma once
// From the scores of one position to the next id.

#include <cstdint>
#include <span>

#include "qloft/core/random.h"
#include "qloft/generate.h"

namespace qloft::generate {

// The next id: the first largest logit where temperature is 0, else drawn from those that the
// filters leave. Throws ComputationError on a logit that is NaN.
tokenizer::TokenId sample(std::span<const float> logits, const Sampling& sampling, Random& random);

// Divides the scores by the temperature, which is above 0, and makes those that a filter drops
// negative infinity; each filter leaves at least `keep`. transformers' logits warpers.
void filter(std::span<float> scores, const Sampling& sampling, std::int64_t keep);

}  // namespace qloft::generate
