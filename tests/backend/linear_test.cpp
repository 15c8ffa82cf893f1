#include "qloft/backend/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "gradients.h"
#include "packed_matrix.h"
#include "qloft/core.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using test::dequantized;
using test::distance;
using test::expect_slope;
using test::packed_matrix;

constexpr std::int64_t kIn = 70, kOut = 41, kRank = 3;

// A linear layer with at most one adapter.
struct Layer {
  Weight weight;
  Tensor bias;
  LowRank factors;

  std::vector<RowFactors> row_factors() const {
    if (!factors.a.defined()) return {};
    return {{factors, {}}};
  }
  Tensor forward(const Tensor& x, std::uint64_t seed) const {
    return linear(x, weight, bias, row_factors(), seed);
  }
  LinearUse use() const { return {&weight, bias, row_factors(), 0}; }
};

// A packed layer with an adapter and a bias, and the same weight dense.
struct Pair {
  Layer linear;
  Tensor dense;

  explicit Pair(double dropout = 0, const quant::Format& format = {}) {
    at::manual_seed(12);
    auto packed = packed_matrix(kOut, kIn, format);
    dense = dequantized(packed);
    linear.weight.storage = std::make_shared<const quant::PackedMatrix>(std::move(packed));
    linear.bias = at::randn({kOut}).set_requires_grad(true);
    linear.factors = {at::randn({kRank, kIn}).set_requires_grad(true),
                      at::randn({kOut, kRank}).set_requires_grad(true), 0.5, dropout};
  }

  Tensor by_formula(const Tensor& x) const {
    const LowRank& a = linear.factors;
    return x.matmul(dense.t()) + a.scale * x.matmul(a.a.t()).matmul(a.b.t()) + linear.bias;
  }
};

TEST(Linear, AgreesWithItsFormulaForAnyNumberOfRows) {
  for (const std::int64_t rows : {1, 2, 5, 130}) {
    Pair pair;
    at::manual_seed(13);
    const Tensor x = at::randn({rows, kIn}).set_requires_grad(true);
    const Tensor weights = at::randn({rows, kOut});
    std::vector<Tensor> leaves = {x, pair.linear.bias, pair.linear.factors.a,
                                  pair.linear.factors.b};
    const Tensor y = pair.linear.forward(x, 0);
    const Tensor expected = pair.by_formula(x);
    EXPECT_LE(distance(y, expected), 2e-3) << rows;  // 15-bit activations where rows are few
    const auto ours = torch::autograd::grad({(y * weights).sum()}, leaves);
    const auto theirs = torch::autograd::grad({(expected * weights).sum()}, leaves);
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      EXPECT_LE(distance(ours[i], theirs[i]), 1e-3) << rows << " rows, leaf " << i;
    }
  }
}

TEST(Linear, GivesTheSameTogetherWithOthersAsAlone) {
  const Pair first, second(0, [] {
    quant::Format two_bits;
    two_bits.bits = 2;
    return two_bits;
  }());
  const std::vector<LinearUse> uses = {first.linear.use(), second.linear.use()};
  for (const std::int64_t rows : {1, 4, 5}) {
    const at::NoGradGuard no_grad;
    const Tensor x = at::randn({rows, 2, kIn});
    const auto together = linear_together(uses, x);
    EXPECT_TRUE(together[0].equal(first.linear.forward(x, 0))) << rows;
    EXPECT_TRUE(together[1].equal(second.linear.forward(x, 0))) << rows;
  }
}

TEST(Linear, HasTheSlopesOfCentralDifferences) {
  Pair pair;
  at::manual_seed(14);
  Tensor x = at::randn({2, 4, kIn}).set_requires_grad(true);
  const auto loss = [&] { return pair.linear.forward(x, 0).square().mean(); };
  for (Tensor leaf : {x, pair.linear.bias, pair.linear.factors.a, pair.linear.factors.b}) {
    expect_slope(leaf, loss, 0.05, 2e-3);  // quadratic in each: no truncation error
  }
}

TEST(Linear, HasTheSlopesOfCentralDifferencesUnderDropout) {
  Pair pair(0.5);
  at::manual_seed(14);
  Tensor x = at::randn({2, 4, kIn}).set_requires_grad(true);
  const auto loss = [&] { return pair.linear.forward(x, 77).square().mean(); };
  EXPECT_NE(loss().item<double>(), pair.linear.forward(x, 78).square().mean().item<double>());
  for (Tensor leaf : {x, pair.linear.factors.a, pair.linear.factors.b}) {
    expect_slope(leaf, loss, 0.05, 2e-3);  // quadratic in each: no truncation error
  }
}

// Of a block whose factor is f the values are f times what they were: the loss is linear in it.
TEST(Linear, TrainsTheScalesOfBlocks) {
  const auto format = [](quant::Codebook codebook, std::int64_t block) {
    quant::Format out;
    out.bits = 2;
    out.codebook = codebook;
    out.block = block;
    if (codebook == quant::Codebook::trellis) out.scale_rule = quant::ScaleRule::mse;
    return out;
  };
  for (const quant::Format& stored :
       {format(quant::Codebook::nf, 16), format(quant::Codebook::nf, 64),
        format(quant::Codebook::lloyd, 0), format(quant::Codebook::trellis, 64),
        format(quant::Codebook::uniform_asymmetric, 32)}) {
    const quant::PackedMatrix packed = packed_matrix(kOut, kIn, stored);
    const Weight weight =
        with_trained_scales(std::make_shared<quant::PackedMatrix>(packed), at::kCPU);
    at::manual_seed(16);
    const Tensor x = at::randn({130, kIn}), weights = at::randn({130, kOut});
    const Tensor factors = weight.scales->factors;
    const auto loss = [&] { return (linear(x, weight, {}, {}, 0) * weights).mean(); };
    EXPECT_LE(distance(linear(x, weight, {}, {}, 0).detach(), x.matmul(dequantized(packed).t())),
              1e-3);
    expect_slope(factors, loss, 0.05, 2e-3);
    {
      const at::NoGradGuard no_grad;
      factors.mul_(2);
      const Tensor doubled = linear(x, weight, {}, {}, 0);
      EXPECT_GT(distance(doubled, x.matmul(dequantized(packed).t())), 0.1);
      EXPECT_LE(distance(doubled, x.matmul(dequantized(*weight.scales->matrix).t())), 1e-3);
    }
  }
}

TEST(Linear, ATrainedScaleThatIsStoredAsZeroHasNoSlope) {
  quant::PackedMatrix packed = packed_matrix(kOut, kIn, {});
  Matrix zeros = quant::block_scales(packed);
  std::ranges::fill(zeros.values(), 0.f);
  quant::set_scales(packed, zeros.view());
  const Weight weight =
      with_trained_scales(std::make_shared<quant::PackedMatrix>(packed), at::kCPU);
  const Tensor x = at::randn({5, kIn});
  const auto slopes =
      torch::autograd::grad({linear(x, weight, {}, {}, 0).sum()}, {weight.scales->factors});
  EXPECT_TRUE(slopes.front().equal(at::zeros_like(slopes.front())));
}

TEST(Linear, TrainsADenseWeight) {
  at::manual_seed(15);
  Layer linear;
  linear.weight.storage = at::randn({kOut, kIn}).set_requires_grad(true);
  const Tensor x = at::randn({6, kIn});
  const Tensor weights = at::randn({6, kOut});
  (linear.forward(x, 0) * weights).sum().backward();
  EXPECT_LE(distance(linear.weight.dense().grad(), weights.t().matmul(x)), 1e-4);
}

TEST(Linear, GivesAFrozenDenseWeightOfAnyStoredTypeTheSameProducts) {
  at::manual_seed(16);
  const Tensor weight = at::randn({kOut, kIn}).to(at::kBFloat16);
  Tensor x = at::randn({9, kIn}).set_requires_grad(true);
  const Tensor expected = x.matmul(weight.to(at::kFloat).t());
  const Tensor slope = torch::autograd::grad({expected.sum()}, {x})[0];
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Layer linear;
    linear.weight.storage = weight.to(type);
    const Tensor y = linear.forward(x, 0);
    EXPECT_LE(distance(y, expected), 1e-4);
    EXPECT_LE(distance(torch::autograd::grad({y.sum()}, {x})[0], slope), 1e-4);
  }
  Layer half;
  half.weight.storage = weight.to(at::kHalf);
  EXPECT_LE(distance(half.forward(x, 0), x.matmul(half.weight.dense().to(at::kFloat).t())), 1e-4);
}

TEST(Linear, ComputesInBf16Too) {
  Pair pair;
  at::manual_seed(17);
  const Tensor x = at::randn({9, kIn}).to(at::kBFloat16).set_requires_grad(true);
  const Tensor y = pair.linear.forward(x, 0);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_LE(distance(y, pair.by_formula(x.to(at::kFloat))), 0.3);
  y.sum().backward();
  EXPECT_EQ(x.grad().scalar_type(), at::kBFloat16);
  EXPECT_EQ(pair.linear.factors.a.grad().scalar_type(), at::kFloat);
}

// Through every slice of the result that threads take, and for sizes that none of them divides.
TEST(Linear, GivesTheGradientsOfF32InBf16) {
  constexpr std::int64_t kManyIn = 2100, kManyOut = 1100;
  for (const std::int64_t rows : {3, 9, 700}) {
    at::manual_seed(18);
    Layer linear;
    linear.weight.storage =
        std::make_shared<const quant::PackedMatrix>(packed_matrix(kManyOut, kManyIn));
    linear.factors = {at::randn({kRank, kManyIn}).set_requires_grad(true),
                      at::randn({kManyOut, kRank}).set_requires_grad(true), 0.5, 0};
    const std::vector<Tensor> factors = {linear.factors.a, linear.factors.b};
    const Tensor x = at::randn({rows, kManyIn}).to(at::kBFloat16);
    const Tensor slope = at::randn({rows, kManyOut}).to(at::kBFloat16);
    std::vector<std::vector<Tensor>> results;
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const Tensor input = x.to(type).set_requires_grad(true);
      const Tensor y = linear.forward(input, 0);
      auto all = torch::autograd::grad({y}, {input, factors[0], factors[1]}, {slope.to(type)});
      all.push_back(y);
      results.push_back(std::move(all));
    }
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      const Tensor& expected = results[0][i];
      EXPECT_LE(distance(results[1][i], expected), 0.02 * expected.abs().max().item<float>())
          << rows << " rows, result " << i;
    }
  }
}

TEST(Linear, KeepsNoGradientForWhatIsFrozen) {
  Pair pair;
  pair.linear.factors.a.set_requires_grad(false);
  const Tensor x = at::randn({3, kIn});
  pair.linear.forward(x, 0).sum().backward();
  EXPECT_FALSE(pair.linear.factors.a.grad().defined());
  EXPECT_TRUE(pair.linear.factors.b.grad().defined());
}

}  // namespace
}  // namespace qloft::backend
