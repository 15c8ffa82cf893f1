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
#include "qloft/statistics.h"

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

using statistics::TokenWeights;

// The matrix under whose name the Gram matrix of this one's inputs goes: where all tokens count
// alike, and for the experts of a block, that of the first with the same inputs
// (architecture::Parameter::input_of); else its own.
architecture::ParameterId gram_of(const architecture::Layout& layout, architecture::ParameterId id,
                                  TokenWeights weights);

// Sums of x x^T over the inputs x of linear layers and of the output matrix: one for those of which
// gram_of is the same, and one for all experts of a block together.
class GramSums {
 public:
  // All of them, or those of one block, or of the output matrix (the block -1).
  explicit GramSums(const model::Model& model, TokenWeights weights = TokenWeights::even);
  GramSums(const model::Model& model, std::int64_t block,
           TokenWeights weights = TokenWeights::even);

  TokenWeights weights() const { return weights_; }
  // input [tokens, in] of a linear layer, where tokens count alike; of no effect for one whose
  // input another shows, and for one that is not among these.
  void add(const std::string& module, const at::Tensor& input);
  // The same where each token counts `weights` [tokens], f32.
  void add(const std::string& module, const at::Tensor& input, const at::Tensor& weights);
  std::map<std::string, backend::GramSum>& sums() { return sums_; }

 private:
  GramSums(const model::Model& model, std::optional<std::int64_t> block, TokenWeights weights);

  TokenWeights weights_;
  std::map<std::string, backend::GramSum> sums_;  // by the module of gram_of
  std::map<std::string, std::string> named_;      // that module, of those that are added
};
// Bytes of all of them on the CPU.
std::int64_t gram_bytes(const architecture::Layout& layout, TokenWeights weights);

// What each token of all sequences so far counts, one after the other, by linear layer: what a
// later pass through one block after the other needs.
using KeptWeights = std::map<std::string, std::vector<float>>;

// What a sequence is added to; null: left out.
struct SequenceSums {
  Fisher* fisher = nullptr;
  GramSums* grams = nullptr;       // from the same pass
  KeptWeights* weights = nullptr;  // of all linear layers but the output matrix
};

// Adds one sequence of a decoder; the loss is the mean over its predictions that count (a sequence
// without one adds nothing to Fisher factors and where tokens count by the loss). The gradient of a
// weight is made and squared a tile at a time: no statistic of a matrix's size is held. The model's
// observer is replaced and then removed.
void add_next_tokens(model::Model& model, model::AdapterId adapter, const data::Example& example,
                     const SequenceSums& sums);

// Takes one sequence through the model and gives its loss, of which nothing counts where there is
// none.
using SequenceLoss = std::function<objectives::Loss(model::Model& model)>;
// The same for any loss, of an encoder's or of a task's. Inputs of an encoder's output matrix are
// those of what is foretold; where all tokens count alike a decoder's loss adds its own.
void add_sequence(model::Model& model, const SequenceLoss& loss, const SequenceSums& sums);

// Mean of x x^T, by the names of GramSums: the upper triangle row by row.
using GramSink = std::function<void(const std::string& module, std::span<const float> triangle)>;
// What `tokens` tokens added up to, matrix by matrix.
void finish_grams(GramSums& grams, std::int64_t tokens, const GramSink& sink);

// After the last Gram matrix of block `index`; of the output matrix: the number of blocks.
using BlockDone = std::function<void(std::int64_t index)>;

// Takes all sequences through one block after the other, so that the activations between two blocks
// and the Gram matrices of one block are all that is held; blocks before `first_block` are passed
// without collecting. With `weights`, those of all tokens, these count so, and the output matrix is
// left out. Throws Interrupted where progress asks to stop.
void collect_gram(model::Model& model, model::AdapterId adapter,
                  std::span<const data::Example> examples, const KeptWeights* weights,
                  std::int64_t first_block, const GramSink& sink, const BlockDone& done,
                  Progress& progress);

}  // namespace qloft::calibrate
