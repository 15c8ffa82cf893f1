#pragma once
// calibrate: runs a model over sequences and finds what the metrics of `decompose` need.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qloft/backend/statistics.h"
#include "qloft/core/progress.h"
#include "qloft/data.h"
#include "qloft/model.h"
#include "qloft/objectives.h"

namespace qloft::calibrate {

// `samples` of the places below `count`, or all where there are fewer, drawn without replacement
// and in order.
std::vector<std::int64_t> draw_places(std::int64_t count, std::int64_t samples, std::uint64_t seed);

// Consecutive windows of `length` ids, of which `samples` are drawn without replacement and left in
// order; fewer where the text has no more. Throws InputError where it has not one.
std::vector<data::Example> windows(std::span<const tokenizer::TokenId> ids, std::int64_t samples,
                                   std::int64_t length, std::uint64_t seed);

// `samples` sequences of `length` ids, each drawn from `vocabulary` with equal chances.
std::vector<data::Example> random_sequences(std::span<const tokenizer::TokenId> vocabulary,
                                            std::int64_t samples, std::int64_t length,
                                            std::uint64_t seed);

// Of one weight: sums over sequences of the row and the column means of the squared gradient of a
// sequence's mean loss, whose average over sequences is the Fisher information's diagonal (LQ-LoRA,
// Guo et al. 2023, section 3.3).
struct FisherSums {
  std::vector<double> rows;
  std::vector<double> columns;
};
using Fisher = std::map<std::string, FisherSums>;  // by linear layer

// Sums of x x^T over the inputs x of linear layers and of the output matrix: one for those that
// share an input (architecture::Parameter::input_of), and one for all experts of a block together.
class GramSums {
 public:
  // All of them, or those of one block, or of the output matrix (the block -1).
  explicit GramSums(const model::Model& model);
  GramSums(const model::Model& model, std::int64_t block);

  // input [tokens, in] of a linear layer; of no effect for one whose input another shows.
  void add(const std::string& module, const at::Tensor& input);
  std::map<std::string, backend::GramSum>& sums() { return sums_; }

 private:
  GramSums(const model::Model& model, std::optional<std::int64_t> block);

  std::map<std::string, backend::GramSum> sums_;  // by the first module of an input
  std::map<std::string, std::string> named_;      // that module, of those that are added
};
// Bytes of all of them on the CPU.
std::int64_t gram_bytes(const architecture::Layout& layout);

// Adds one sequence; the loss is the mean over its predictions that count (a sequence without one
// adds nothing). The gradient of a weight is made and squared a tile at a time: no statistic of a
// matrix's size is held. With `grams`, which are of the whole model, the inputs of the same forward
// pass are added to these. The model's observer is replaced and then removed.
void add_fisher(model::Model& model, model::AdapterId adapter, const data::Example& example,
                Fisher& fisher, GramSums* grams = nullptr);

// Takes one sequence through the model and gives its loss, of which nothing counts where there is
// none.
using SequenceLoss = std::function<objectives::Loss(model::Model& model)>;
// The same for any loss, of an encoder's or of a task's; null sums are left out. Inputs of an
// encoder's output matrix are those of what is foretold; a decoder's loss adds its own.
void add_sequence(model::Model& model, const SequenceLoss& loss, Fisher* fisher, GramSums* grams);

// Mean of x x^T, by the names of GramSums: the upper triangle row by row.
using GramSink = std::function<void(const std::string& module, std::span<const float> triangle)>;
// What `tokens` tokens added up to, matrix by matrix.
void finish_grams(GramSums& grams, std::int64_t tokens, const GramSink& sink);

// After the last Gram matrix of block `index`; of the output matrix: the number of blocks.
using BlockDone = std::function<void(std::int64_t index)>;

// Takes all sequences through one block after the other, so that the activations between two blocks
// and the Gram matrices of one block are all that is held; blocks before `first_block` are passed
// without collecting. Throws Interrupted where progress asks to stop.
void collect_gram(model::Model& model, model::AdapterId adapter,
                  std::span<const data::Example> examples, std::int64_t first_block,
                  const GramSink& sink, const BlockDone& done, Progress& progress);

}  // namespace qloft::calibrate
