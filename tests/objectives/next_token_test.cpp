#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/objectives.h"
#include "small_llama.h"

namespace qloft::objectives {
namespace {

using at::Tensor;
using model::Input;
using model::Model;

Model small_model() {
  return Model::random(test::small_llama(), {}, 5);
}

Tensor ids_of(std::int64_t length, std::uint64_t seed) {
  at::manual_seed(seed);
  return at::randint(3, 64, {1, length}, at::kLong);
}

double sum_of(Model& model, const Tensor& ids) {
  const at::NoGradGuard no_grad;
  return next_token(model, {ids}).sum.item<double>();
}

TEST(NextToken, TreatsPackedSegmentsAsRowsOfTheirOwn) {
  Model model = small_model();
  const Tensor a = ids_of(9, 1), b = ids_of(6, 2);
  Input packed{at::cat({a, b, at::zeros({1, 2}, at::kLong)}, 1)};
  packed.positions =
      at::cat({at::arange(9), at::arange(6), at::zeros({2})}).to(at::kLong).unsqueeze(0);
  packed.segments =
      at::cat({at::zeros({9}), at::ones({6}), at::full({2}, -1)}).to(at::kLong).unsqueeze(0);
  const auto loss = next_token(model, packed);
  EXPECT_EQ(loss.count, 8 + 5);
  EXPECT_NEAR(loss.sum.item<double>(), sum_of(model, a) + sum_of(model, b), 1e-3);
}

TEST(NextToken, CountsWhatTheLossMaskKeeps) {
  Model model = small_model();
  const Tensor ids = ids_of(6, 1);
  const Tensor loss_mask = at::tensor({1, 0, 0, 1, 0, 1}, at::kLong).unsqueeze(0);
  EXPECT_EQ(next_token(model, {ids}, loss_mask).count, 2);
  EXPECT_EQ(next_token(model, {ids}, at::zeros({1, 6})).sum.item<float>(), 0.f);
}

TEST(NextToken, RefusesALossMaskOfAnotherShape) {
  Model model = small_model();
  EXPECT_THROW(next_token(model, {ids_of(6, 1)}, at::ones({1, 5})), InputError);
}

}  // namespace
}  // namespace qloft::objectives
