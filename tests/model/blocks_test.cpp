// Each differentiable block against its twin in torch's own operators.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "../../src/model/attention.h"
#include "../../src/model/dropout.h"
#include "../../src/model/loss.h"
#include "../../src/model/norm.h"
#include "../../src/model/rope.h"
#include "../../src/model/swiglu.h"
#include "support.h"

namespace qloft::model {
namespace {

using at::Tensor;
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

TEST(SwiGlu, AgreesWithItsFormula) {
  at::manual_seed(2);
  const Tensor gate =
      at::cat({at::randn({2, 3, 40}), at::full({2, 3, 1}, -100.f), at::full({2, 3, 1}, 100.f)}, -1);
  expect_same_gradients([](const Tensors& in) { return swiglu(in[0], in[1]); },
                        [](const Tensors& in) { return at::silu(in[0]) * in[1]; },
                        {gate, at::randn({2, 3, 42})}, 2e-5);
}

Tensor turned_by_formula(const Tensor& x, const Rotation& rotation) {
  const Tensor cosine = at::cat({rotation.cosine, rotation.cosine}, -1).unsqueeze(2);
  const Tensor sine = at::cat({rotation.sine, rotation.sine}, -1).unsqueeze(2);
  const auto halves = x.chunk(2, -1);
  return x * cosine + at::cat({-halves[1], halves[0]}, -1) * sine;
}

TEST(Rotation, AgreesWithItsFormula) {
  at::manual_seed(3);
  const Tensor positions = at::tensor({0, 1, 5, 2, 2, 9}, at::kLong).reshape({2, 3});
  const Rotation rotation = make_rotation(Rope{}, 8, positions);
  expect_same_gradients([&](const Tensors& in) { return rotate(in[0], rotation); },
                        [&](const Tensors& in) { return turned_by_formula(in[0], rotation); },
                        {at::randn({2, 3, 4, 8})}, 1e-5);
}

// [rows, length, length]: which key each query sees.
Tensor visible(std::int64_t rows, std::int64_t length, const Visibility& visibility) {
  const Tensor i = at::arange(length).view({1, length, 1});
  const Tensor j = at::arange(length).view({1, 1, length});
  Tensor seen = (j <= i).expand({rows, length, length});
  if (visibility.window > 0) seen = seen.logical_and(i - j < visibility.window);
  if (visibility.segments.defined()) {
    const Tensor own = visibility.segments.unsqueeze(2);
    seen = seen.logical_and(own == visibility.segments.unsqueeze(1)).logical_and(own >= 0);
  }
  return seen;
}

Tensor attention_by_formula(const Tensors& in, const Visibility& visibility) {
  const std::int64_t group = in[0].size(2) / in[1].size(2);
  const Tensor q = in[0].transpose(1, 2);
  const Tensor k = in[1].transpose(1, 2).repeat_interleave(group, 1);
  const Tensor v = in[2].transpose(1, 2).repeat_interleave(group, 1);
  const Tensor seen = visible(in[0].size(0), in[0].size(1), visibility).unsqueeze(1);
  const Tensor scores = q.matmul(k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor hidden = scores.masked_fill(seen.logical_not(), -1e30);
  const Tensor p = at::softmax(hidden, -1) * seen;
  return p.matmul(v).transpose(1, 2);
}

struct AttentionCase {
  const char* name;
  std::int64_t length, heads, key_value_heads, window;
  bool segments;
};

class Attention : public testing::TestWithParam<AttentionCase> {};

TEST_P(Attention, AgreesWithItsFormula) {
  const AttentionCase c = GetParam();
  at::manual_seed(4);
  Visibility visibility{c.window, {}};
  if (c.segments) {
    // Padding, then two segments; the second row is padding at its end and one segment before.
    visibility.segments = at::zeros({2, c.length}, at::kLong);
    visibility.segments[0].narrow(0, 0, 3).fill_(-1);
    visibility.segments[0].narrow(0, c.length / 2, c.length - c.length / 2).fill_(5);
    visibility.segments[1].narrow(0, c.length - 2, 2).fill_(-1);
  }
  const auto heads = [&](std::int64_t count) { return at::randn({2, c.length, count, 8}); };
  expect_same_gradients(
      [&](const Tensors& in) { return attention(in[0], in[1], in[2], visibility); },
      [&](const Tensors& in) { return attention_by_formula(in, visibility); },
      {heads(c.heads), heads(c.key_value_heads), heads(c.key_value_heads)}, 2e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, Attention,
                         testing::Values(AttentionCase{"one_position", 1, 2, 2, 0, false},
                                         AttentionCase{"several_blocks", 150, 4, 2, 0, false},
                                         AttentionCase{"one_head_of_keys", 20, 4, 1, 0, false},
                                         AttentionCase{"window", 150, 2, 2, 7, false},
                                         AttentionCase{"window_of_one", 9, 2, 2, 1, false},
                                         AttentionCase{"segments", 150, 4, 2, 0, true},
                                         AttentionCase{"segments_and_window", 150, 4, 2, 70, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(AttentionOverCache, AgreesWithAttentionOverAllPositions) {
  at::manual_seed(5);
  const Tensor q = at::randn({2, 9, 4, 8});
  const Tensor k = at::randn({2, 9, 2, 8}), v = at::randn({2, 9, 2, 8});
  Visibility visibility{5, at::zeros({2, 9}, at::kLong)};
  visibility.segments[1].narrow(0, 0, 2).fill_(-1);
  const Tensor whole = attention(q, k, v, visibility);
  Tensor keys = at::full({2, 2, 12, 8}, NAN), values = keys.clone();
  keys.narrow(2, 0, 9).copy_(k.transpose(1, 2));
  values.narrow(2, 0, 9).copy_(v.transpose(1, 2));
  const Tensor last = attention_over_cache(q.narrow(1, 6, 3), keys, values, 6, visibility);
  EXPECT_LE(distance(last, whole.narrow(1, 6, 3)), 1e-5);
}

TEST(Attention, WorksOnBf16) {
  at::manual_seed(6);
  const Tensor q = at::randn({1, 20, 4, 8}), k = at::randn({1, 20, 2, 8});
  const auto bf16 = [](const Tensor& x) { return x.to(at::kBFloat16); };
  const Tensor out = attention(bf16(q), bf16(k), bf16(k), {});
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_LE(distance(out, attention_by_formula({q, k, k}, {})), 0.05);
}

TEST(SummedLoss, AgreesWithCrossEntropy) {
  at::manual_seed(8);
  const Tensor targets = at::randint(0, 50, {11}, at::kLong);
  expect_same_gradients(
      [&](const Tensors& in) {
        return summed_loss(in[0], Weight{in[1], nullptr}, targets);
      },
      [&](const Tensors& in) {
        return at::nll_loss(at::log_softmax(in[0].matmul(in[1].t()), -1), targets, {},
                            at::Reduction::Sum);
      },
      {at::randn({11, 16}), at::randn({50, 16})}, 1e-4);
}

TEST(SummedLoss, IsZeroForNoPredictions) {
  const Tensor hidden = at::empty({0, 16}).set_requires_grad(true);
  const Tensor loss =
      summed_loss(hidden, Weight{at::randn({50, 16}), nullptr}, at::empty({0}, at::kLong));
  EXPECT_EQ(loss.item<float>(), 0.f);
  loss.backward();
}

TEST(Dropout, KeepsTheMeanAndDependsOnTheSeedAlone) {
  const Tensor x = at::ones({200, 200});
  const Tensor a = model::dropout(x, 0.25, 3);
  EXPECT_NEAR(a.mean().item<double>(), 1.0, 0.02);
  EXPECT_NEAR((a == 0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
  EXPECT_TRUE(a.equal(model::dropout(x, 0.25, 3)));
  EXPECT_FALSE(a.equal(model::dropout(x, 0.25, 4)));
}

}  // namespace
}  // namespace qloft::model
