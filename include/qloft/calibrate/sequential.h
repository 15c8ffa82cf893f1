#pragma once
// What the matrices of a decoder are multiplied by where those before them are quantized, beside
// what the full model's are.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "qloft/calibrate.h"
#include "qloft/core/matrix.h"
#include "qloft/core/progress.h"
#include "qloft/data.h"
#include "qloft/model.h"
#include "qloft/model/exchanged.h"

namespace qloft::calibrate {

// Of the inputs x of a matrix behind quantized ones and y of the full model's: means over tokens,
// each of which counts what the weights say, or all alike.
struct SequentialSums {
  Matrix gram;   // x x^T
  Matrix shift;  // (y - x) x^T; empty where tokens cannot be held against each other
};

// The full model's inputs of one block that may be kept, in bytes.
inline constexpr double kKeptInputs = 1 << 30;

// Two streams of states go through the blocks of a model, one after the other: one through its own
// matrices, one through what is put in their place. In memory are of both a state for each token,
// of the matrices those that were put into the block at hand, and of that block the inputs of the
// full model's layers, where they take at most `kept_inputs` bytes; else they are made anew.
class SequentialInputs {
 public:
  // A decoder. With `weights`, of these sequences (calibrate.h), tokens count so, but for experts
  // and the output matrix; without, all alike. Sequences and weights are to outlive this.
  SequentialInputs(model::Model& model, std::span<const data::Example> sequences,
                   const KeptWeights* weights = nullptr, double kept_inputs = kKeptInputs);

  // The block at hand; behind the last one, where the output matrix is, the number of blocks.
  std::int64_t block() const { return block_; }

  // Of the inputs of matrices in the block at hand that share one: of each, or where their tokens
  // count alike one for all. Experts see other tokens than in the full model, so that theirs have
  // no shift; their Gram matrix is that of all experts of the block. Throws Interrupted where
  // progress asks to stop, InputError where weights are missing.
  std::vector<SequentialSums> of(std::span<const architecture::ParameterId> group,
                                 const Progress& progress);
  // From here on the second stream has these values [out, in] in the place of the matrix. The
  // embedding is to be put before all else, and matrices of a block before advance().
  void put(architecture::ParameterId id, MatrixView<const float> values);
  // Takes both streams through the block at hand. Throws as of(), and is then of no further use.
  void advance(const Progress& progress);

  // What both streams are before the block at hand: of each sequence [1, length, columns], on the
  // CPU.
  struct States {
    std::int64_t block = 0;
    std::vector<at::Tensor> full, quantized;
  };
  States states();
  // Goes on from there; of the same sequences.
  void restore(States states);

 private:
  void begin();
  at::Tensor through(const at::Tensor& state);
  // Of the layer `module` at the block at hand.
  at::Tensor seen(const at::Tensor& state, const std::string& module);
  at::Tensor full_input(std::size_t sequence, const std::string& module);
  // Takes the full model's stream through the block at hand and keeps what its layers see.
  void keep_full_inputs(const Progress& progress);
  // What the tokens of a sequence of the streams count: [tokens], f32.
  at::Tensor weights_of(const std::string& module, std::size_t sequence) const;
  void see_experts(const at::Tensor& state, architecture::ParameterId holder,
                   const std::function<void(const at::Tensor&)>& see);

  model::Model& model_;
  std::span<const data::Example> sequences_;
  const KeptWeights* weights_;
  std::int64_t tokens_ = 0;
  std::int64_t block_ = 0;
  double kept_inputs_;
  std::vector<at::Tensor> full_, quantized_;
  // Of the block at hand: by layer, of each sequence [tokens, in] on the CPU; and the full model's
  // states behind it. Empty: they are not kept.
  std::map<std::string, std::vector<at::Tensor>> full_inputs_;
  std::vector<at::Tensor> full_behind_;
  std::vector<model::Replacement> replaced_;  // in the block at hand, or the embedding
};

}  // namespace qloft::calibrate
