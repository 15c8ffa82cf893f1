// The cross entropy of smoothed labels.
#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include "gradients.h"
#include "qloft/backend.h"

namespace qloft::backend {
namespace {

using at::Tensor;

TEST(CrossEntropy, OfSmoothedLabelsAgreesWithItsFormula) {
  at::manual_seed(8);
  const Tensor targets = at::randint(0, 50, {11}, at::kLong);
  const double smoothing = 0.3;
  test::expect_same_gradients(
      [&](const std::vector<Tensor>& in) {
        return summed_cross_entropy(in[0], Weight{in[1]}, {}, targets, {}, smoothing);
      },
      [&](const std::vector<Tensor>& in) {
        const Tensor log_p = at::log_softmax(in[0].matmul(in[1].t()), -1);
        const Tensor plain = at::nll_loss(log_p, targets, {}, at::Reduction::Sum);
        return plain * (1 - smoothing) - log_p.mean(1).sum() * smoothing;
      },
      {at::randn({11, 16}), at::randn({50, 16})}, 1e-4);
}

}  // namespace
}  // namespace qloft::backend
