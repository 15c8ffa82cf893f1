#pragma once
// From the logits of one position to the next id.

#include <span>

#include "qloft/core/random.h"
#include "qloft/generate.h"

namespace qloft::generate {

// Divides the positive and multiplies the negative logits of the ids in `seen` by the penalty, each
// id once (Keskar et al. 2019; transformers' RepetitionPenaltyLogitsProcessor).
void penalize_repetition(std::span<float> logits, std::span<const tokenizer::TokenId> seen,
                         double penalty);

// The next id: the first largest logit where temperature is 0, else drawn after temperature, top-k,
// top-p and min-p in this order. Changes `logits`. Throws ComputationError on a logit that is NaN.
tokenizer::TokenId sample(std::span<float> logits, const Sampling& sampling, Random& random);

}  // namespace qloft::generate
