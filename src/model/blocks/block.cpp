#include "block.h"

#include <ATen/TensorOperators.h>

#include "attention.h"
#include "convolution.h"
#include "experts.h"
#include "mlp.h"
#include "norm.h"

namespace qloft::model {
namespace {

using architecture::Branch;
using at::Tensor;

// multiplier * after(body(x)), x normed already.
Tensor run(const Pass& pass, const Branch& branch, std::int64_t index, const Tensor& x) {
  Tensor y;
  if (const auto* attention = std::get_if<architecture::Attention>(&branch.body)) {
    y = forward(pass, *attention, index, x);
  } else if (const auto* mlp = std::get_if<architecture::Mlp>(&branch.body)) {
    y = forward(pass, *mlp, x);
  } else {
    y = forward(pass, std::get<architecture::Experts>(branch.body), x);
  }
  y = normalize(pass, branch.after, y);
  return branch.multiplier == 1 ? y : y * branch.multiplier;
}

bool same(const std::optional<architecture::Norm>& a, const std::optional<architecture::Norm>& b) {
  return a && b && a->weight == b->weight;
}

}  // namespace

Tensor forward_block(const Pass& pass, std::int64_t index, const Tensor& x) {
  const auto& block = pass.layout().blocks[static_cast<std::size_t>(index)];
  Tensor out = x, normed;
  const Branch* last = nullptr;
  for (const Branch& branch : block.branches) {
    const bool shared = block.parallel && last != nullptr && same(last->before, branch.before);
    if (!shared) normed = normalize(pass, branch.before, block.parallel ? x : out);
    out = out + run(pass, branch, index, normed);
    out = normalize(pass, branch.after_sum, out);
    last = &branch;
  }
  if (block.convolution) out = convolve(pass, *block.convolution, x, out);
  return out;
}

}  // namespace qloft::model
