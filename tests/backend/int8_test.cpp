#include "../../src/backend/cpu/int8.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "../../src/backend/cpu/products.h"
#include "gradients.h"
#include "qloft/core.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using test::distance;
using test::expect_slope;

constexpr std::int64_t kRowsOfWeight = 41, kColumnsOfWeight = 230;

// The same matrix packed by `format`, and as it is dequantized.
std::pair<Weight, Tensor> packed_weight(const quant::Format& format, std::int64_t rows,
                                        std::int64_t columns) {
  Matrix values(rows, columns);
  Random(21).fill_normal(values.values());
  Weight weight;
  weight.storage =
      std::make_shared<const quant::PackedMatrix>(quant::quantize(values.view(), format));
  weight.int8 = true;
  Tensor dense = at::empty({rows, columns});
  quant::dequantize(weight.packed(), MatrixView<float>(dense.data_ptr<float>(), rows, columns));
  return {weight, dense};
}

quant::Format format_of(int bits, quant::Codebook codebook, std::int64_t block) {
  quant::Format format;
  format.bits = bits;
  format.codebook = codebook;
  format.block = block;
  if (codebook == quant::Codebook::trellis) format.scale_rule = quant::ScaleRule::mse;
  return format;
}

// Both products, against those of the dense matrix: codes of 8 bits leave about a hundredth.
void expect_products(const Weight& weight, const Tensor& dense) {
  for (const std::int64_t rows : {5, 12, 31}) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(std::to_string(rows) + " rows of " + std::string(c10::toString(type)));
      const Tensor x = at::randn({rows, weight.columns()}).to(type);
      const Tensor y = at::randn({rows, weight.rows()}).to(type);
      ASSERT_TRUE(runs_in_int8(x, weight));
      const auto expect_near = [&](const Tensor& found, const Tensor& expected) {
        EXPECT_EQ(found.scalar_type(), type);
        const Tensor error = found.to(at::kFloat) - expected;
        EXPECT_LE(error.norm().item<double>(), 0.012 * expected.norm().item<double>());
      };
      expect_near(multiply_transposed(x, weight), x.to(at::kFloat).mm(dense.t()));
      expect_near(multiply(y, weight), y.to(at::kFloat).mm(dense));
    }
  }
}

TEST(Int8, MultipliesWeightsOfAnyFormat) {
  using quant::Codebook;
  at::manual_seed(22);
  for (const quant::Format& format :
       {format_of(4, Codebook::nf, 64), format_of(3, Codebook::nf, 16),
        format_of(2, Codebook::lloyd, 0), format_of(8, Codebook::nf, 128),
        format_of(4, Codebook::uniform_asymmetric, 32), format_of(2, Codebook::trellis, 64)}) {
    SCOPED_TRACE(format.describe());
    const auto [weight, dense] = packed_weight(format, kRowsOfWeight, kColumnsOfWeight);
    expect_products(weight, dense);
  }
}

TEST(Int8, MultipliesDenseWeightsOfAnyType) {
  at::manual_seed(23);
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    SCOPED_TRACE(c10::toString(type));
    const Tensor dense = at::randn({kRowsOfWeight, kColumnsOfWeight}).to(type);
    expect_products({dense, /*int8=*/true}, dense.to(at::kFloat));
  }
}

// As language models have them (LLM.int8()): one scale a row would leave an error of 0.096.
TEST(Int8, ConfinesTheErrorOfAFewLargeChannelsToTheirBlocks) {
  at::manual_seed(26);
  constexpr std::int64_t kChannels = 4096, kLarge = 6;
  const Tensor weight = at::randn({128, kChannels});
  Tensor x = at::randn({64, kChannels});
  const auto error = [&] {
    const Tensor expected = x.mm(weight.t());
    const Tensor found = multiply_transposed(x, Weight{weight, /*int8=*/true});
    return (found - expected).norm().item<double>() / expected.norm().item<double>();
  };
  EXPECT_NEAR(error(), 0.0084, 0.0005);
  for (std::int64_t i = 0; i < kLarge; ++i) x.select(1, 17 + 600 * i).mul_(60);
  EXPECT_NEAR(error(), 0.018, 0.002);
}

TEST(Int8, GivesTheSameBitsOnAnyNumberOfThreads) {
  const auto [weight, dense] = packed_weight({}, 1100, 1300);
  at::manual_seed(24);
  const Tensor x = at::randn({29, 1300}), y = at::randn({29, 1100});
  const int threads = thread_count();
  set_thread_count(1);
  const Tensor forward = multiply_transposed(x, weight), backward = multiply(y, weight);
  set_thread_count(3);
  EXPECT_TRUE(forward.equal(multiply_transposed(x, weight)));
  EXPECT_TRUE(backward.equal(multiply(y, weight)));
  set_thread_count(threads);
}

TEST(Int8, LeavesFewRowsToMatrixVectorProducts) {
  auto [weight, dense] = packed_weight({}, kRowsOfWeight, kColumnsOfWeight);
  at::manual_seed(25);
  const Tensor x = at::randn({kFewRows, kColumnsOfWeight});
  EXPECT_FALSE(runs_in_int8(x, weight));
  const Tensor y = multiply_transposed(x, weight);
  weight.int8 = false;
  EXPECT_TRUE(y.equal(multiply_transposed(x, weight)));
}

}  // namespace
}  // namespace qloft::backend
