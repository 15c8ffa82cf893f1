#pragma once
// The linear layer: a dense or packed base weight, and low-rank adapters by name.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qloft/model.h"
#include "weight.h"

namespace qloft::model {

// One adapter's factors in one linear layer. y += scale * (dropout(x) A^T) B^T.
struct LowRank {
  at::Tensor a;  // f32 [rank, in]
  at::Tensor b;  // f32 [out, rank]
  double scale = 1;
  double dropout = 0;
};

struct Linear {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  Weight weight;     // [out, in]
  at::Tensor bias;   // [out] or undefined
  std::map<std::string, LowRank> adapters;
  const LowRank* active = nullptr;           // an entry of `adapters`
  std::shared_ptr<const Observer> observer;  // null: none

  std::int64_t out() const { return weight.rows(); }
  std::int64_t in() const { return weight.columns(); }

  // x [..., in], f32 or bf16 -> [..., out] of the same type. Gradients go to x, to the active
  // adapter's factors and to a dense weight and bias that require them; a frozen or packed weight
  // gets none. `dropout_seed`: nonzero draws the adapter's dropout mask from it, the same one
  // whenever the seed is the same; zero: no dropout.
  at::Tensor forward(const at::Tensor& x, std::uint64_t dropout_seed) const;
};

// A layer and the seed that its forward() gets.
struct LinearUse {
  const Linear* linear;
  std::uint64_t dropout_seed;
};
// What forward() gives for each of several layers with the same x. Where no gradients are wanted
// and x has few rows, packed weights are read in one go: decoding waits less between products.
std::vector<at::Tensor> forward_together(std::span<const LinearUse> uses, const at::Tensor& x);

}  // namespace qloft::model
