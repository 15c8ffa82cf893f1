#pragma once
// evaluate: a task and a model give numbers by the papers' protocols.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/evaluate/result.h"
#include "qloft/model.h"
#include "qloft/text/tokenizer.h"

namespace qloft::evaluate {

// The text is tokenized once as a whole with the tokenizer's special tokens, cut into consecutive
// windows of `window` tokens, the incomplete last one dropped; within a window every token but the
// first is predicted. `limit`: windows at most (0: all). Throws InputError if there is not one
// whole window.
Perplexity perplexity(model::Model& model, const text::Tokenizer& tokenizer, std::string_view text,
                      std::int64_t window, std::int64_t limit, Progress& progress);

// GSM8K (Cobbe et al. 2021): greedy continuations of each question, exact match of the final number
// (commas, currency signs and a trailing full stop do not count). `sink` gets each prediction as it
// is made.
Accuracy gsm8k(model::Model& model, const text::Tokenizer& tokenizer,
               const std::filesystem::path& data, const ProblemOptions& options,
               const std::function<void(const Prediction&)>& sink, Progress& progress);

}  // namespace qloft::evaluate
