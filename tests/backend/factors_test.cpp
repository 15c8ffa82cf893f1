// An adapter's factors in 8 bits.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "gradients.h"
#include "packed_matrix.h"
#include "qloft/backend/linear.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using test::dequantized;
using test::distance;
using test::packed_matrix;

constexpr std::int64_t kColumns = 70, kRows = 41;

LowRank random_factors(std::int64_t rank) {
  return {at::randn({rank, kColumns}), at::randn({kRows, rank}), 0.5};
}

Weight packed_weight_of(quant::PackedMatrix packed) {
  return {std::make_shared<const quant::PackedMatrix>(std::move(packed))};
}

Tensor product(const Tensor& x, const LowRank& f) {
  return f.scale * x.mm(f.a.t()).mm(f.b.t());
}

TEST(PackedFactors, GiveTheProductsOfTheirValues) {
  const auto base = packed_matrix(kRows, kColumns);
  const Weight packed = packed_weight_of(base), dense{dequantized(base)};
  for (const std::int64_t rank : {1, 3, 32, 65}) {
    for (const std::int64_t rows : {1, 2, 5, 130}) {
      for (const Weight* weight : {&packed, &dense}) {
        const at::NoGradGuard no_grad;
        const LowRank factors = pack(random_factors(rank));
        const Tensor x = at::randn({rows, kColumns}), bias = at::randn({kRows});
        const Tensor expected =
            x.mm(dequantized(base).t()) + product(x, as_tensors(factors)) + bias;
        // 15-bit activations where rows are few.
        EXPECT_LE(distance(linear(x, *weight, bias, {{factors, {}}}, 0), expected),
                  2e-3 + 2e-3 * static_cast<double>(rank))
            << "rank " << rank << ", rows " << rows;
      }
    }
  }
}

TEST(PackedFactors, GiveTheSameTogetherWithOthersAsAlone) {
  const at::NoGradGuard no_grad;
  const Weight first = packed_weight_of(packed_matrix(kRows, kColumns)), second = first;
  const LowRank packed = pack(random_factors(32)), exact = random_factors(3);
  const Tensor x = at::randn({2, kColumns});
  const auto together = linear_together(
      {{&first, {}, {{packed, {}}}}, {&second, {}, {{exact, {}}}}, {&first, {}, {}}}, x);
  EXPECT_TRUE(together[0].equal(linear(x, first, {}, {{packed, {}}}, 0)));
  EXPECT_TRUE(together[1].equal(linear(x, second, {}, {{exact, {}}}, 0)));
  EXPECT_TRUE(together[2].equal(linear(x, first, {}, {}, 0)));
}

TEST(PackedFactors, StayWithinAHundredthOfWhatWentIn) {
  const LowRank factors = random_factors(48), packed = as_tensors(pack(factors));
  const auto relative = [](const Tensor& found, const Tensor& wanted) {
    return ((found - wanted).norm() / wanted.norm()).item<double>();
  };
  ASSERT_EQ(packed.a.sizes(), factors.a.sizes());
  ASSERT_EQ(packed.b.sizes(), factors.b.sizes());
  EXPECT_LT(relative(packed.a, factors.a), 0.01);
  EXPECT_LT(relative(packed.b, factors.b), 0.01);
}

TEST(PackedFactors, OfValuesThatWerePackedAreTheSame) {
  const LowRank once = as_tensors(pack(random_factors(5))), twice = as_tensors(pack(once));
  EXPECT_TRUE(once.a.equal(twice.a));
  EXPECT_TRUE(once.b.equal(twice.b));
}

TEST(PackedFactors, AreUsedByTheRowsThatTheyAreOf) {
  const at::NoGradGuard no_grad;
  const Weight weight = packed_weight_of(packed_matrix(kRows, kColumns));
  const LowRank factors = pack(random_factors(4));
  const Tensor x = at::randn({3, kColumns});
  const Tensor y = linear(x, weight, {}, {{factors, at::tensor({0, 2}, at::kLong)}}, 0);
  const Tensor bare = linear(x, weight, {}, {}, 0), all = linear(x, weight, {}, {{factors, {}}}, 0);
  EXPECT_LE(distance(y[0], all[0]), 1e-5);
  EXPECT_TRUE(y[1].equal(bare[1]));
  EXPECT_LE(distance(y[2], all[2]), 1e-5);
}

TEST(PackedFactors, LetGradientsPassToWhatTheyMultiply) {
  const Weight weight = packed_weight_of(packed_matrix(kRows, kColumns));
  const LowRank factors = pack(random_factors(4));
  const auto gradient = [&](const LowRank& used) {
    const Tensor x = at::ones({5, kColumns}).set_requires_grad(true);
    linear(x, weight, {}, {{used, {}}}, 0).sum().backward();
    return x.grad();
  };
  EXPECT_TRUE(gradient(factors).equal(gradient(as_tensors(factors))));
}

TEST(Factors, InBf16GiveTheProductsOfTheirValues) {
  const at::NoGradGuard no_grad;
  const auto base = packed_matrix(kRows, kColumns);
  LowRank factors = random_factors(3);
  factors.a = factors.a.to(at::kBFloat16);
  factors.b = factors.b.to(at::kBFloat16);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t rows : {1, 9}) {
      const Tensor x = at::randn({rows, kColumns}).to(type), x32 = x.to(at::kFloat);
      const Tensor expected = x32.mm(dequantized(base).t()) + product(x32, as_tensors(factors));
      EXPECT_LE(distance(linear(x, packed_weight_of(base), {}, {{factors, {}}}, 0), expected),
                type == at::kFloat ? 2e-3 : 0.3)
          << rows;
    }
  }
}

}  // namespace
}  // namespace qloft::backend
