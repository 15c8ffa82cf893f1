// Attention by products in bf16 beside the same by products in f32, and its blocks one by one.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "../../src/backend/cpu/attention.h"
#include "../../src/backend/cpu/bf16_blocks.h"
#include "../../src/backend/operations.h"
#include "gradients.h"
#include "qloft/core.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;

Tensor random_bf16(at::IntArrayRef shape) {
  return at::randn(shape).to(at::kBFloat16);
}

MatrixView<const BFloat16> bf16_view(const Tensor& x) {
  return {reinterpret_cast<const BFloat16*>(x.data_ptr<at::BFloat16>()), x.size(0), x.size(1)};
}

// |found - expected| / |expected| in the Frobenius norm, of elements of at least a tenth in the
// mean: the gradients of a query that sees one key are zero.
double relative_error(const Tensor& found, const Tensor& expected) {
  const Tensor exact = expected.to(at::kDouble);
  const double size = exact.norm().item<double>();
  const double least = 0.1 * std::sqrt(static_cast<double>(exact.numel()));
  return (found.to(at::kDouble) - exact).norm().item<double>() / std::max(size, least);
}

// `multiply` is that of the processor or its twin. Blocks of 17 rows and 33 columns are padded.
class BlockProducts : public testing::TestWithParam<void (*)(const BlockProduct&)> {
 protected:
  // x padded to a block.
  static std::vector<BFloat16> block_of(const Tensor& x) {
    const std::int64_t width = padded_width(x.size(1));
    std::vector<BFloat16> out(static_cast<std::size_t>(kBlockRows * width));
    copy_block(bf16_view(x), width, out.data());
    return out;
  }
  // `product` with zeros up to [m, n].
  static Tensor padded(const Tensor& product, std::int64_t m, std::int64_t n) {
    Tensor out = at::zeros({m, n});
    out.narrow(0, 0, product.size(0)).narrow(1, 0, product.size(1)) += product;
    return out;
  }
};

TEST_P(BlockProducts, OfBlocksAndTheirTransposesArePlainProducts) {
  at::manual_seed(1);
  for (const std::int64_t rows : {1, 17, 64}) {
    for (const std::int64_t columns : {8, 33, 64, 80}) {
      SCOPED_TRACE(testing::Message() << rows << " x " << columns);
      const std::int64_t width = padded_width(columns);
      const Tensor x = random_bf16({rows, columns}), y = random_bf16({rows, columns});
      const Tensor x32 = x.to(at::kFloat), y32 = y.to(at::kFloat);
      const auto left = block_of(y), right = block_of(x);
      auto packed = right, across = right;

      // y x^T
      pack_transposed_block(right.data(), width, packed.data());
      Tensor found = at::full({64, 64}, 1.f);
      GetParam()({64, 64, width, left.data(), width, packed.data(), found.data_ptr<float>(), 64});
      EXPECT_LE(test::distance(found, padded(y32.mm(x32.t()), 64, 64)), 1e-4);

      // y^T x, added to ones
      pack_block(left.data(), width, packed.data());
      transpose_packed_block(packed.data(), width, across.data());
      pack_block(right.data(), width, packed.data());
      found = at::full({width, width}, 1.f);
      GetParam()({width, width, 64, across.data(), 64, packed.data(), found.data_ptr<float>(),
                  width, /*add=*/true});
      EXPECT_LE(test::distance(found, 1 + padded(y32.t().mm(x32), width, width)), 1e-4);
    }
  }
}

TEST(TransposeWords, SwapsRowsAndColumns) {
  const Tensor x = at::randn({32, 64});
  Tensor found = at::zeros({64, 32});
  transpose_words(x.data_ptr<float>(), 32, 64, found.data_ptr<float>());
  EXPECT_TRUE(found.equal(x.t()));
}

INSTANTIATE_TEST_SUITE_P(Ways, BlockProducts,
                         testing::Values(multiply_block, multiply_block_portable));

// Results and gradients of q, k and v.
Tensors results_of(const std::function<Tensor(const Tensors&)>& attention, const Tensors& inputs) {
  Tensors leaves;
  for (const Tensor& input : inputs) {
    leaves.push_back(input.detach().clone().set_requires_grad(true));
  }
  const Tensor out = attention(leaves);
  at::manual_seed(99);
  out.backward(at::randn(out.sizes()).to(at::kBFloat16).to(out.scalar_type()));
  Tensors results = {out.detach()};
  for (const Tensor& leaf : leaves) results.push_back(leaf.grad());
  return results;
}

struct Bf16Case {
  const char* name;
  std::int64_t length, heads, key_value_heads, head_dim;
  std::int64_t window = 0;
  bool segments = false;
  float soft_cap = 0;
  std::vector<float> slopes = {};
  bool causal = true;
  std::int64_t keys = 0;   // of another sequence; 0: as many as queries, of the same
  std::int64_t reach = 0;  // of a bias; 0: none

  Scores scores(const Tensors& in) const {
    Scores out{static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim))), soft_cap, slopes};
    if (reach > 0) out.bias = in[3];
    return out;
  }
  Visibility visibility() const {
    if (keys > 0) {
      Visibility across{0, at::zeros({2, keys}, at::kLong)};
      across.across = true;
      across.segments[0].narrow(0, keys - 1, 1).fill_(-1);
      across.segments[1].narrow(0, 1, 1).fill_(-1);
      return across;
    }
    Visibility out{window, {}, causal};
    if (!segments) return out;
    // Padding, then two segments; the second row is three segments and padding at its end.
    out.segments = at::zeros({2, length}, at::kLong);
    out.segments[0].narrow(0, 0, 3).fill_(-1);
    out.segments[0].narrow(0, length / 2, length - length / 2).fill_(5);
    out.segments[1].narrow(0, length / 3, length / 3).fill_(1);
    out.segments[1].narrow(0, length / 3 * 2, length - length / 3 * 2).fill_(2);
    out.segments[1].narrow(0, length - 2, 2).fill_(-1);
    return out;
  }
  Tensors inputs() const {
    at::manual_seed(4);
    const std::int64_t positions = keys > 0 ? keys : length;
    Tensors out = {random_bf16({2, length, heads, head_dim}),
                   random_bf16({2, positions, key_value_heads, head_dim}),
                   random_bf16({2, positions, key_value_heads, head_dim})};
    if (reach > 0) out.push_back(at::randn({heads, 2 * reach - 1}));
    return out;
  }
};

class AttentionInBf16Test : public testing::TestWithParam<Bf16Case> {};

TEST_P(AttentionInBf16Test, AgreesWithProductsInF32WithinRoundings) {
  const Bf16Case& c = GetParam();
  const auto by = [&](Products products) {
    return results_of(
        [&](const Tensors& in) {
          return attention_by(products, in[0], in[1], in[2], c.visibility(), c.scores(in));
        },
        c.inputs());
  };
  Tensors exact;
  for (const Tensor& x : c.inputs()) exact.push_back(x.to(at::kFloat));
  const auto expected = results_of(
      [&](const Tensors& in) {
        return kTorchOperations.attention(in[0], in[1], in[2], c.visibility(), c.scores(in));
      },
      exact);
  const auto found = by(Products::bf16), in_f32 = by(Products::f32);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].scalar_type(), i < 4 ? at::kBFloat16 : at::kFloat);
    EXPECT_LE(relative_error(found[i], expected[i]), 0.008) << i;
    EXPECT_LE(relative_error(found[i], in_f32[i]), 0.008) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, AttentionInBf16Test,
    testing::Values(
        Bf16Case{"one_position", 1, 2, 2, 64}, Bf16Case{"three_positions", 3, 4, 1, 32},
        Bf16Case{"part_of_a_block", 17, 7, 1, 80}, Bf16Case{"a_block", 64, 4, 4, 64},
        Bf16Case{"several_blocks", 130, 4, 4, 64}, Bf16Case{"groups_of_four", 130, 8, 2, 128},
        Bf16Case{"groups_of_seven", 130, 14, 2, 32}, Bf16Case{"wide_heads", 130, 4, 1, 256},
        Bf16Case{"narrow_heads", 130, 2, 1, 7}, Bf16Case{"many_blocks", 650, 2, 1, 16},
        Bf16Case{"window", 200, 4, 2, 64, 7}, Bf16Case{"window_of_one", 70, 2, 2, 32, 1},
        Bf16Case{"window_of_a_block", 300, 2, 1, 32, 64},
        Bf16Case{"segments", 130, 8, 2, 64, 0, true},
        Bf16Case{"long_segments", 500, 4, 1, 32, 0, true},
        Bf16Case{"segments_and_window", 300, 4, 2, 32, 90, true},
        Bf16Case{"soft_cap", 130, 4, 2, 64, 0, false, 3},
        Bf16Case{"slopes", 130, 3, 1, 32, 0, false, 0, {0.5f, 0.1f, 0.01f}},
        Bf16Case{"bias", 130, 4, 4, 64, 0, false, 0, {}, true, 0, 130},
        Bf16Case{"bias_both_ways", 130, 4, 2, 32, 0, true, 0, {}, false, 0, 140},
        Bf16Case{"bias_part_of_a_block", 17, 2, 2, 64, 0, false, 0, {}, false, 0, 17},
        Bf16Case{"across", 70, 4, 2, 32, 0, false, 0, {}, true, 33},
        Bf16Case{"across_many", 9, 4, 4, 64, 0, false, 0, {}, true, 200},
        Bf16Case{"across_several_blocks", 130, 7, 1, 80, 0, false, 0, {}, true, 130},
        Bf16Case{"both_ways", 130, 4, 4, 64, 0, false, 0, {}, false},
        Bf16Case{"both_ways_part_of_a_block", 17, 4, 2, 32, 0, false, 0, {}, false},
        Bf16Case{"both_ways_window", 200, 4, 2, 64, 7, false, 0, {}, false},
        Bf16Case{"both_ways_segments", 300, 4, 2, 32, 0, true, 0, {}, false},
        Bf16Case{"both_ways_segments_and_window", 300, 4, 2, 32, 90, true, 0, {}, false},
        Bf16Case{"everything", 300, 2, 1, 32, 70, true, 2, {0.1f, 0.01f}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(AttentionInBf16, GivesZerosAndNoGradientsWhereNothingIsSeen) {
  Bf16Case c{"", 130, 4, 2, 32, 0, true};
  Visibility visibility = c.visibility();
  visibility.segments[0].narrow(0, 0, 70).fill_(-1);
  for (const Tensor& x : results_of(
           [&](const Tensors& in) {
             return attention_by(Products::bf16, in[0], in[1], in[2], visibility, c.scores(in));
           },
           c.inputs())) {
    EXPECT_LE(x[0].narrow(0, 0, 70).abs().max().item<float>(), 1e-30f);
    EXPECT_LE(x[1].narrow(0, 128, 2).abs().max().item<float>(), 1e-30f);
  }
}

TEST(AttentionInBf16, KeepsAKeyThatIsNotANumberFromWhereItIsSeenOn) {
  for (const std::int64_t bad : {0, 70, 129}) {
    const Bf16Case c{"", 130, 4, 2, 32};
    Tensors in = c.inputs();
    in[1][1][bad].fill_(NAN);
    const Tensor out = attention_by(Products::bf16, in[0], in[1], in[2], {}, c.scores(in));
    EXPECT_FALSE(out[0].isnan().any().item<bool>());
    for (std::int64_t i = 0; i < 130; ++i) {
      EXPECT_EQ(out[1][i].isnan().all().item<bool>(), i >= bad) << bad << ", " << i;
    }
  }
}

TEST(AttentionInBf16, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int before = thread_count();
  const Bf16Case c{"", 200, 8, 2, 32, 0, true};
  std::vector<Tensors> results;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    results.push_back(results_of(
        [&](const Tensors& in) {
          return attention_by(Products::bf16, in[0], in[1], in[2], c.visibility(), c.scores(in));
        },
        c.inputs()));
    for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(results.back()[i].equal(results[0][i]));
  }
  set_thread_count(before);
}

TEST(AttentionInBf16, OverCachesAgreesWithAttentionOverAllPositionsOfEachSequence) {
  struct Sequence {
    std::int64_t past, count;
  };
  for (const std::int64_t window : {0, 50}) {
    at::manual_seed(5);
    Tensors queries, expected;
    std::vector<CachedSequence> sequences;
    std::int64_t first = 0;
    const Scores scores{0.125f, 0, {}};
    for (const auto& [past, count] : {Sequence{100, 30}, Sequence{0, 70}, Sequence{9, 1}}) {
      const std::int64_t length = past + count;
      const Tensor q = random_bf16({1, length, 8, 64});
      const Tensor k = random_bf16({1, length, 2, 64}), v = random_bf16({1, length, 2, 64});
      expected.push_back(
          attention_by(Products::f32, q, k, v, {window, {}}, scores).narrow(1, past, count));
      queries.push_back(q.narrow(1, past, count));
      Tensor keys = at::full({1, 2, 150, 64}, NAN).to(at::kBFloat16), values = keys.clone();
      keys.narrow(2, 0, length).copy_(k.transpose(1, 2));
      values.narrow(2, 0, length).copy_(v.transpose(1, 2));
      sequences.push_back({{keys, {}}, {values, {}}, first, count, past});
      first += count;
    }
    const Tensor found =
        attention_over_caches_by(Products::bf16, at::cat(queries, 1), sequences, window, scores);
    EXPECT_LE(relative_error(found, at::cat(expected, 1)), 0.008);
  }
}

}  // namespace
}  // namespace qloft::backend
