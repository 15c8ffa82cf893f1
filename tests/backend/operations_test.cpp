// Each differentiable block against its twin in torch's own operators.
#include "../../src/backend/operations.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "../../src/backend/dropout.h"
#include "gradients.h"
#include "qloft/backend.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using test::distance;
using test::expect_same_gradients;
using Tensors = std::vector<Tensor>;

TEST(RmsNorm, AgreesWithItsFormula) {
  at::manual_seed(1);
  expect_same_gradients([](const Tensors& in) { return rms_norm(in[0], in[1], 1e-5); },
                        [](const Tensors& in) {
                          const auto r = at::rsqrt(in[0].square().mean(-1, true) + 1e-5);
                          return in[0] * r * in[1];
                        },
                        {at::randn({2, 3, 37}), at::randn({37})}, 1e-5);
}

TEST(RmsNorm, KeepsBf16) {
  at::manual_seed(1);
  const Tensor x = at::randn({2, 3, 37}).to(at::kBFloat16);
  const Tensor out = rms_norm(x, at::ones({37}), 1e-5);
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_LE(distance(out, rms_norm(x.to(at::kFloat), at::ones({37}), 1e-5)), 0.02);
}

TEST(RmsNorm, AddsItsOffsetToTheWeight) {
  at::manual_seed(1);
  expect_same_gradients([](const Tensors& in) { return rms_norm(in[0], in[1], 1e-5, 1); },
                        [](const Tensors& in) { return rms_norm(in[0], in[1] + 1, 1e-5); },
                        {at::randn({2, 3, 37}), at::randn({37})}, 1e-5);
}

TEST(LayerNorm, AgreesWithTorchs) {
  at::manual_seed(1);
  expect_same_gradients(
      [](const Tensors& in) { return layer_norm(in[0], in[1], in[2], 1e-5); },
      [](const Tensors& in) { return kTorchOperations.layer_norm(in[0], in[1], in[2], 1e-5); },
      {at::randn({2, 3, 37}) + 2, at::randn({37}), at::randn({37})}, 2e-5);
}

struct ActivationCase {
  const char* name;
  Activation activation;
};

class Activations : public testing::TestWithParam<ActivationCase> {
 protected:
  // With values far from zero, where exponentials overflow.
  static Tensor values() {
    at::manual_seed(2);
    return at::cat(
        {at::randn({2, 3, 40}) * 2, at::full({2, 3, 1}, -100.f), at::full({2, 3, 1}, 100.f)}, -1);
  }
};

TEST_P(Activations, AgreeWithTorchs) {
  const Activation a = GetParam().activation;
  expect_same_gradients([&](const Tensors& in) { return activate(in[0], a); },
                        [&](const Tensors& in) { return kTorchOperations.activate(in[0], a); },
                        {values()}, 2e-5);
}

TEST_P(Activations, OfAGateAgreeWithTorchs) {
  const Activation a = GetParam().activation;
  expect_same_gradients([&](const Tensors& in) { return gate(in[0], in[1], a); },
                        [&](const Tensors& in) { return kTorchOperations.gate(in[0], in[1], a); },
                        {values(), at::randn({2, 3, 42})}, 2e-5);
}

TEST_P(Activations, KeepWhatIsNotANumber) {
  Tensor x = at::ones({1, 1, 9});
  x[0][0][4] = NAN;
  EXPECT_TRUE(activate(x, GetParam().activation).isnan().equal(x.isnan()));
  EXPECT_TRUE(gate(x, at::ones({1, 1, 9}), GetParam().activation).isnan().equal(x.isnan()));
}

INSTANTIATE_TEST_SUITE_P(All, Activations,
                         testing::Values(ActivationCase{"silu", Activation::silu},
                                         ActivationCase{"gelu", Activation::gelu},
                                         ActivationCase{"gelu_tanh", Activation::gelu_tanh},
                                         ActivationCase{"relu", Activation::relu},
                                         ActivationCase{"tanh", Activation::tanh}),
                         [](const auto& test) { return std::string(test.param.name); });

// Angles of 3 positions in 2 rows for `dimensions` dimensions.
Rotation some_rotation(std::int64_t dimensions) {
  const Tensor angles = at::randn({2, 3, dimensions / 2});
  return {angles.cos(), angles.sin()};
}

Tensor rotated_by_formula(const Tensor& x, const Rotation& rotation) {
  const Tensor cosine = at::cat({rotation.cosine, rotation.cosine}, -1).unsqueeze(2);
  const Tensor sine = at::cat({rotation.sine, rotation.sine}, -1).unsqueeze(2);
  const auto halves = x.chunk(2, -1);
  return x * cosine + at::cat({-halves[1], halves[0]}, -1) * sine;
}

TEST(Rotation, AgreesWithItsFormula) {
  at::manual_seed(3);
  const Rotation rotation = some_rotation(8);
  expect_same_gradients([&](const Tensors& in) { return rotate(in[0], rotation); },
                        [&](const Tensors& in) { return rotated_by_formula(in[0], rotation); },
                        {at::randn({2, 3, 4, 8})}, 1e-5);
}

TEST(Rotation, LeavesTheRestOfEachHeadAsItIs) {
  at::manual_seed(3);
  const Rotation rotation = some_rotation(6);
  expect_same_gradients(
      [&](const Tensors& in) { return rotate(in[0], rotation); },
      [&](const Tensors& in) {
        return at::cat(
            {rotated_by_formula(in[0].narrow(-1, 0, 6), rotation), in[0].narrow(-1, 6, 4)}, -1);
      },
      {at::randn({2, 3, 4, 10})}, 1e-5);
}

// [rows, length, length]: which key each query sees.
Tensor visible(std::int64_t rows, std::int64_t length, const Visibility& visibility) {
  const Tensor i = at::arange(length).view({1, length, 1});
  const Tensor j = at::arange(length).view({1, 1, length});
  Tensor seen = (visibility.causal ? j <= i : j >= 0).expand({rows, length, length});
  if (visibility.window > 0) {
    const Tensor distance = visibility.causal ? i - j : (i - j).abs();
    seen = seen.logical_and(distance < visibility.window);
  }
  if (visibility.segments.defined()) {
    const Tensor own = visibility.segments.unsqueeze(2);
    seen = seen.logical_and(own == visibility.segments.unsqueeze(1)).logical_and(own >= 0);
  }
  return seen;
}

// Scores of heads of 8 dimensions as most models make them.
Scores plain_scores() {
  return {static_cast<float>(1 / std::sqrt(8.0)), 0, {}};
}

Tensor attention_by_formula(const Tensors& in, const Visibility& visibility,
                            const Scores& rule = plain_scores()) {
  const std::int64_t group = in[0].size(2) / in[1].size(2), length = in[0].size(1),
                     keys = in[1].size(1);
  const Tensor q = in[0].transpose(1, 2);
  const Tensor k = in[1].transpose(1, 2).repeat_interleave(group, 1);
  const Tensor v = in[2].transpose(1, 2).repeat_interleave(group, 1);
  const Tensor seen = visibility.across ? visibility.segments.ge(0).view({-1, 1, 1, keys})
                                        : visible(in[0].size(0), length, visibility).unsqueeze(1);
  Tensor scores = q.matmul(k.transpose(2, 3)) * rule.scale;
  if (rule.soft_cap != 0) scores = (scores / rule.soft_cap).tanh() * rule.soft_cap;
  if (!rule.slopes.empty()) {
    const Tensor distances = at::arange(length).view({-1, 1}) - at::arange(length);
    scores = scores - at::tensor(rule.slopes).view({1, -1, 1, 1}) * distances;
  }
  if (rule.bias.defined()) {
    const Tensor column = at::arange(keys) - at::arange(length).view({-1, 1});
    const std::int64_t reach = (rule.bias.size(1) + 1) / 2;
    scores =
        scores + rule.bias.index_select(1, (column + reach - 1).flatten()).view({-1, length, keys});
  }
  const Tensor masked = scores.masked_fill(seen.logical_not(), -1e30);
  const Tensor p = at::softmax(masked, -1) * seen;
  return p.matmul(v).transpose(1, 2);
}

struct AttentionCase {
  const char* name;
  std::int64_t length, heads, key_value_heads, window;
  bool segments;
  Scores scores = plain_scores();
  bool causal = true;
  std::int64_t reach = 0;  // of a bias; 0: none
};

class Attention : public testing::TestWithParam<AttentionCase> {};

TEST_P(Attention, AgreesWithItsFormula) {
  const AttentionCase c = GetParam();
  at::manual_seed(4);
  Visibility visibility{c.window, {}, c.causal};
  if (c.segments) {
    // Padding, then two segments; the second row is padding at its end and one segment before.
    visibility.segments = at::zeros({2, c.length}, at::kLong);
    visibility.segments[0].narrow(0, 0, 3).fill_(-1);
    visibility.segments[0].narrow(0, c.length / 2, c.length - c.length / 2).fill_(5);
    visibility.segments[1].narrow(0, c.length - 2, 2).fill_(-1);
  }
  const auto heads = [&](std::int64_t count) { return at::randn({2, c.length, count, 8}); };
  const auto scores = [&](const Tensors& in) {
    Scores out = c.scores;
    if (c.reach > 0) out.bias = in[3];
    return out;
  };
  Tensors inputs = {heads(c.heads), heads(c.key_value_heads), heads(c.key_value_heads)};
  if (c.reach > 0) inputs.push_back(at::randn({c.heads, 2 * c.reach - 1}));
  expect_same_gradients(
      [&](const Tensors& in) { return attention(in[0], in[1], in[2], visibility, scores(in)); },
      [&](const Tensors& in) { return attention_by_formula(in, visibility, scores(in)); }, inputs,
      2e-5);
}

// Queries of one length over keys of another, the last of which are padding.
TEST(Attention, AcrossAgreesWithItsFormula) {
  struct Case {
    std::int64_t length, keys, heads, key_value_heads;
  };
  for (const auto& [length, keys, heads, key_value_heads] :
       {Case{1, 5, 2, 2}, Case{70, 33, 4, 2}, Case{9, 150, 2, 2}, Case{130, 130, 2, 1}}) {
    SCOPED_TRACE(testing::Message() << length << " over " << keys);
    at::manual_seed(4);
    Visibility visibility{0, at::zeros({2, keys}, at::kLong)};
    visibility.across = true;
    visibility.segments[0].narrow(0, keys - 2, 2).fill_(-1);
    visibility.segments[1].narrow(0, 1, 1).fill_(-1);
    const auto source = [&, count = keys, of = key_value_heads] {
      return at::randn({2, count, of, 8});
    };
    expect_same_gradients(
        [&](const Tensors& in) {
          return attention(in[0], in[1], in[2], visibility, plain_scores());
        },
        [&](const Tensors& in) { return attention_by_formula(in, visibility); },
        {at::randn({2, length, heads, 8}), source(), source()}, 2e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Attention,
    testing::Values(
        AttentionCase{"one_position", 1, 2, 2, 0, false},
        AttentionCase{"several_blocks", 150, 4, 2, 0, false},
        AttentionCase{"one_head_of_keys", 20, 4, 1, 0, false},
        AttentionCase{"window", 150, 2, 2, 7, false},
        AttentionCase{"window_of_one", 9, 2, 2, 1, false},
        AttentionCase{"segments", 150, 4, 2, 0, true},
        AttentionCase{"segments_and_window", 150, 4, 2, 70, true},
        AttentionCase{"soft_cap", 150, 4, 2, 0, false, {1, 3, {}}},
        AttentionCase{"soft_cap_and_slopes", 80, 2, 1, 0, false, {0.3f, 2, {0.5f, 0.1f}}},
        AttentionCase{"slopes", 80, 3, 1, 0, false, {0.3f, 0, {0.5f, 0.1f, 0.01f}}},
        AttentionCase{"soft_cap_window_and_segments", 150, 4, 2, 70, true, {0.7f, 2, {}}},
        AttentionCase{"bias", 150, 4, 2, 0, false, plain_scores(), true, 150},
        AttentionCase{"bias_of_one_position", 1, 2, 2, 0, false, plain_scores(), true, 1},
        AttentionCase{"bias_both_ways", 150, 4, 4, 0, true, {1, 0, {}}, false, 170},
        AttentionCase{"bias_and_cap", 70, 2, 1, 7, false, {1, 2, {}}, true, 70},
        AttentionCase{"both_ways", 150, 4, 2, 0, false, plain_scores(), false},
        AttentionCase{"both_ways_segments", 150, 4, 4, 0, true, plain_scores(), false},
        AttentionCase{"both_ways_window", 150, 2, 2, 7, false, plain_scores(), false},
        AttentionCase{"both_ways_segments_and_window", 150, 4, 2, 70, true, plain_scores(), false}),
    [](const auto& test) { return std::string(test.param.name); });

// Sequences of several lengths, each with what it has in its cache before.
TEST(AttentionOverCaches, AgreesWithAttentionOverAllPositionsOfEachSequence) {
  struct Case {
    std::int64_t past, count;
  };
  for (const std::int64_t window : {0, 5}) {
    at::manual_seed(5);
    std::vector<Tensor> queries, expected;
    std::vector<CachedSequence> sequences;
    std::int64_t first = 0;
    for (const auto& [past, count] : {Case{6, 3}, Case{0, 7}, Case{9, 1}}) {
      const std::int64_t length = past + count;
      const Tensor q = at::randn({1, length, 4, 8});
      const Tensor k = at::randn({1, length, 2, 8}), v = at::randn({1, length, 2, 8});
      expected.push_back(attention(q, k, v, {window, {}}, plain_scores()).narrow(1, past, count));
      queries.push_back(q.narrow(1, past, count));
      Tensor keys = at::full({1, 2, 12, 8}, NAN), values = keys.clone();
      keys.narrow(2, 0, length).copy_(k.transpose(1, 2));
      values.narrow(2, 0, length).copy_(v.transpose(1, 2));
      sequences.push_back({{keys, {}}, {values, {}}, first, count, past});
      first += count;
    }
    const Tensor found =
        attention_over_caches(at::cat(queries, 1), sequences, window, plain_scores());
    EXPECT_LE(distance(found, at::cat(expected, 1)), 1e-5);
  }
}

// Be it the only one that is seen, in the path of a few queries or in that of many.
TEST(Attention, KeepsAKeyThatIsNotANumberFromWhereItIsSeenOn) {
  at::manual_seed(7);
  for (const std::int64_t length : {1, 3, 20}) {
    const Tensor q = at::randn({1, length, 2, 8}), v = at::randn({1, length, 2, 8});
    for (const std::int64_t bad : {std::int64_t{0}, length - 1}) {
      Tensor k = at::randn({1, length, 2, 8});
      k[0][bad].fill_(NAN);
      const Tensor out = attention(q, k, v, {}, plain_scores());
      for (std::int64_t i = 0; i < length; ++i) {
        EXPECT_EQ(out[0][i].isnan().all().item<bool>(), i >= bad) << length << ", " << bad;
      }
    }
  }
}

TEST(Attention, WorksOnBf16) {
  at::manual_seed(6);
  const Tensor q = at::randn({1, 20, 4, 8}), k = at::randn({1, 20, 2, 8});
  const auto bf16 = [](const Tensor& x) { return x.to(at::kBFloat16); };
  const Tensor out = attention(bf16(q), bf16(k), bf16(k), {}, plain_scores());
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_LE(distance(out, attention_by_formula({q, k, k}, {})), 0.05);
}

Tensor cross_entropy_by_formula(const Tensor& logits, const Tensor& targets) {
  return at::nll_loss(at::log_softmax(logits, -1), targets, {}, at::Reduction::Sum);
}

TEST(CrossEntropy, AgreesWithItsFormula) {
  at::manual_seed(8);
  const Tensor targets = at::randint(0, 50, {11}, at::kLong);
  expect_same_gradients(
      [&](const Tensors& in) { return summed_cross_entropy(in[0], Weight{in[1]}, {}, targets); },
      [&](const Tensors& in) { return cross_entropy_by_formula(in[0].matmul(in[1].t()), targets); },
      {at::randn({11, 16}), at::randn({50, 16})}, 1e-4);
}

TEST(CrossEntropy, AgreesWithItsFormulaWithEverythingThatChangesLogits) {
  at::manual_seed(8);
  const Tensor targets = at::randint(0, 50, {11}, at::kLong);
  expect_same_gradients(
      [&](const Tensors& in) {
        LogitsRule rule{LowRank{in[3], in[4], 0.5, 0}, 0, in[2], 0.4, 3};
        return summed_cross_entropy(in[0], Weight{in[1]}, rule, targets);
      },
      [&](const Tensors& in) {
        const Tensor logits =
            in[0].matmul(in[1].t()) + 0.5 * in[0].matmul(in[3].t()).matmul(in[4].t()) + in[2];
        return cross_entropy_by_formula((logits * (0.4 / 3)).tanh() * 3, targets);
      },
      {at::randn({11, 16}), at::randn({50, 16}), at::randn({50}), at::randn({3, 16}),
       at::randn({50, 3})},
      1e-4);
}

TEST(LogitGradients, AreAutogradsInSlicesOfAnyWidth) {
  at::manual_seed(8);
  const Tensor targets = at::randint(0, 50, {11}, at::kLong), hidden = at::randn({11, 16});
  const Tensor weight = at::randn({50, 16}), a = at::randn({3, 16}), b = at::randn({50, 3});
  const LogitsRule rule{LowRank{a, b, 0.5, 0}, 0, at::randn({50}), 0.4, 3};
  const Tensor products =
      (hidden.matmul(weight.t()) + 0.5 * hidden.matmul(a.t()).matmul(b.t()) + rule.bias)
          .set_requires_grad(true);
  (2 * cross_entropy_by_formula((products * (0.4 / 3)).tanh() * 3, targets)).backward();
  for (const std::int64_t at_once : {1, 7, 50, 64}) {
    Tensor found = at::zeros({11, 50});
    logit_gradients(hidden, Weight{weight}, rule, targets, 2, at_once,
                    [&](const Tensor& slice, std::int64_t first) {
                      found.narrow(1, first, slice.size(1)).copy_(slice);
                    });
    EXPECT_TRUE(at::allclose(found, products.grad(), 1e-4, 1e-6)) << at_once;
  }
}

// Row by row.
Tensor upper_triangle(const Tensor& square) {
  return square.masked_select(at::ones_like(square).triu().to(at::kBool));
}

// The CPU's statistics against torch's own operators in f64.
TEST(Statistics, AreTorchsOnAnyShapeAndType) {
  at::manual_seed(9);
  struct Case {
    std::int64_t tokens, out, in;
  };
  for (const Case& c : {Case{1, 1, 1}, Case{3, 70, 33}, Case{17, 130, 96}, Case{40, 300, 700},
                        Case{33, 700, 300}, Case{600, 64, 65}}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const Tensor x = at::randn({c.tokens, c.in}).to(type);
      const Tensor dy = at::randn({c.tokens, c.out}).to(type);
      const Tensor x64 = x.to(at::kDouble), g = dy.to(at::kDouble).t().mm(x64).square();
      const double tolerance = type == at::kFloat ? 1e-5 : 1e-2;
      const auto expect_near = [&](const Tensor& found, const Tensor& expected) {
        const double largest = expected.abs().max().item<double>();
        EXPECT_LE(distance(found, expected), tolerance * largest) << c.tokens << " " << type;
      };
      const auto tensor = [](const std::vector<double>& values) {
        return at::tensor(at::ArrayRef<double>(values), at::kDouble);
      };
      for (const Operations* operations : {&kCpuOperations, &kTorchOperations}) {
        const Tensor expected = x64.t().mm(x64) + 1;
        if (operations == &kCpuOperations) {
          Tensor gram = at::ones({c.in * (c.in + 1) / 2});
          operations->add_gram(x, gram);
          expect_near(gram, upper_triangle(expected));
        } else {
          Tensor gram = at::ones({c.in, c.in});
          operations->add_gram(x, gram);
          expect_near(gram.triu(), expected.triu());
        }
        Tensor products = at::ones({c.out, c.in});
        operations->add_products(dy, x, products);
        expect_near(products, dy.to(at::kDouble).t().mm(x64) + 1);
        const SquareSums sums = operations->squared_products(dy, x);
        expect_near(tensor(sums.rows), g.sum(1));
        expect_near(tensor(sums.columns), g.sum(0));
      }
    }
  }
}

TEST(CrossEntropy, IsZeroForNoPredictions) {
  const Tensor hidden = at::empty({0, 16}).set_requires_grad(true);
  const Tensor loss =
      summed_cross_entropy(hidden, Weight{at::randn({50, 16})}, {}, at::empty({0}, at::kLong));
  EXPECT_EQ(loss.item<float>(), 0.f);
  loss.backward();
}

TEST(Dropout, KeepsTheMeanAndDependsOnTheSeedAlone) {
  const Tensor x = at::ones({200, 200});
  const Tensor a = backend::dropout(x, 0.25, 3);
  EXPECT_NEAR(a.mean().item<double>(), 1.0, 0.02);
  EXPECT_NEAR((a == 0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
  EXPECT_TRUE(a.equal(backend::dropout(x, 0.25, 3)));
  EXPECT_FALSE(a.equal(backend::dropout(x, 0.25, 4)));
}

}  // namespace
}  // namespace qloft::backend
