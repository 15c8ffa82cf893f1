#pragma once
// calibrate: runs a model over sequences and finds what the metrics of `decompose` need.

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/core/progress.h"
#include "qloft/data.h"
#include "qloft/model.h"

namespace qloft::calibrate {

// Consecutive windows of `length` ids, of which `samples` are drawn without replacement and left in
// order; fewer where the text has no more. Throws InputError where it has not one.
std::vector<data::Example> windows(std::span<const tokenizer::TokenId> ids, std::int64_t samples,
                                   std::int64_t length, std::uint64_t seed);

// Of one weight: sums over sequences of the row and the column means of the squared gradient of a
// sequence's mean loss, whose average over sequences is the Fisher information's diagonal (LQ-LoRA,
// Guo et al. 2023, section 3.3).
struct FisherSums {
  std::vector<double> rows;
  std::vector<double> columns;
};
using Fisher = std::map<std::string, FisherSums>;  // by linear layer

// Adds one sequence; the loss is the mean over its predictions that count (a sequence without one
// adds nothing). The gradient of a weight is made and squared a few rows at a time: no statistic of
// a matrix's size is held. The model's observer is replaced and then removed.
void add_fisher(model::Model& model, const data::Example& example, Fisher& fisher);

// Mean of x x^T over all tokens' inputs x of a linear layer and of those that share its input
// (LinearShape::input_of): both triangles.
using GramSink = std::function<void(std::int64_t layer, const std::string& name, Matrix gram)>;

// Takes all sequences through one decoder layer after the other, so that the activations between
// two layers and the Gram matrices of one layer are all that is held; layers before `first_layer`
// are passed without collecting. Throws Interrupted where progress asks to stop.
void collect_gram(model::Model& model, std::span<const data::Example> examples,
                  std::int64_t first_layer, const GramSink& sink, Progress& progress);

}  // namespace qloft::calibrate
