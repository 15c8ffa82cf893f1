#pragma once
// Tensors and gradients beside those of plain twins.

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace qloft::test {

// The largest absolute difference.
inline double distance(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  if (a.numel() == 0) return 0;
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Holds the gradients that `f` gives against those of its plain twin, written in torch's own
// operators, on the same inputs: results and gradients agree within `tolerance`.
inline void expect_same_gradients(
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& f,
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& twin,
    const std::vector<at::Tensor>& inputs, double tolerance) {
  const auto run = [&](const auto& function) {
    std::vector<at::Tensor> leaves;
    for (const auto& input : inputs) {
      leaves.push_back(input.detach().clone().set_requires_grad(input.is_floating_point()));
    }
    const at::Tensor out = function(leaves);
    at::manual_seed(99);
    const at::Tensor weights = at::randn(out.sizes()).to(out.scalar_type());
    (out * weights).sum().backward();
    std::vector<at::Tensor> results = {out.detach()};
    for (const auto& leaf : leaves) results.push_back(leaf.grad());
    return results;
  };
  const auto ours = run(f);
  const auto theirs = run(twin);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!theirs[i].defined()) continue;
    ASSERT_TRUE(ours[i].defined()) << "gradient of input " << i - 1;
    EXPECT_LE(distance(ours[i], theirs[i]), tolerance) << (i == 0 ? "result" : "gradient") << i;
  }
}

// Central differences along a random direction of `leaf` against its gradient under `loss`.
inline void expect_slope(at::Tensor leaf, const std::function<at::Tensor()>& loss, double step,
                         double tolerance) {
  at::manual_seed(7);
  const at::Tensor direction = at::randn(leaf.sizes());
  leaf.mutable_grad() = at::Tensor();  // of earlier backward passes
  loss().backward();
  const double slope = (leaf.grad() * direction).sum().item<double>();
  leaf.mutable_grad() = at::Tensor();
  const at::NoGradGuard no_grad;
  leaf.add_(direction, step);
  const double above = loss().item<double>();
  leaf.add_(direction, -2 * step);
  const double below = loss().item<double>();
  leaf.add_(direction, step);
  EXPECT_NEAR((above - below) / (2 * step), slope, tolerance * std::max(1.0, std::abs(slope)));
}

}  // namespace qloft::test
