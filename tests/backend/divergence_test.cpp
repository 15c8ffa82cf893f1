#include <ATen/ops/allclose.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "../../src/backend/divergence_rows.h"
#include "gradients.h"
#include "qloft/backend.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using test::distance;
using test::expect_same_gradients;

// Of a vocabulary that is no multiple of any vector's width.
constexpr std::int64_t kVocabulary = 37;

struct Predictions {
  TeacherRows teacher;
  Tensor targets;
};

Predictions random_predictions(std::int64_t rows, std::int64_t count) {
  at::manual_seed(3);
  return {greatest_of(at::randn({rows, kVocabulary}) * 2, count),
          at::randint(0, kVocabulary, {rows}, at::kLong)};
}

// The formula in torch's operators, of all logits at once.
Tensor plain(const Tensor& logits, const Predictions& c, double w) {
  const Tensor ids = c.teacher.ids.to(at::kLong), log_p = c.teacher.log_probabilities;
  const Tensor log_q = at::log_softmax(logits, 1);
  const Tensor p = log_p.exp(), q = log_q.exp().gather(1, ids);
  Tensor divergence = (p * (log_p - log_q.gather(1, ids))).sum();
  if (ids.size(1) < logits.size(1)) {
    const Tensor p_rest = 1 - p.sum(1), q_rest = 1 - q.sum(1);
    divergence = divergence + (p_rest * (p_rest / q_rest).log()).sum();
  }
  const Tensor nll = -log_q.gather(1, c.targets.unsqueeze(1)).sum();
  return (1 - w) * divergence + w * nll;
}

void expect_as_plain(std::int64_t count, double w, const LogitsRule& rule = {}) {
  constexpr std::int64_t kRows = 11, kHidden = 16;
  const Predictions c = random_predictions(kRows, count);
  const Tensor weight = at::randn({kVocabulary, kHidden});
  expect_same_gradients(
      [&](const std::vector<Tensor>& in) {
        return summed_divergence(in[0], Weight{weight}, rule, c.teacher, c.targets, w);
      },
      [&](const std::vector<Tensor>& in) {
        Tensor logits = in[0].mm(weight.t()) * rule.multiplier;
        if (rule.soft_cap != 0) logits = (logits / rule.soft_cap).tanh() * rule.soft_cap;
        return plain(logits, c, w);
      },
      {at::randn({kRows, kHidden}) * 0.3}, 1e-4);
}

TEST(Divergence, AgreesWithItsFormula) {
  for (const std::int64_t count : {1, 5, 36}) expect_as_plain(count, 0);
}

TEST(Divergence, OfTheWholeVocabularyHasNoRest) {
  expect_as_plain(kVocabulary, 0);
}

TEST(Divergence, IsMixedWithTheNextTokenLoss) {
  expect_as_plain(5, 0.25);
  expect_as_plain(5, 1);
}

TEST(Divergence, GoesThroughMultiplierAndCap) {
  LogitsRule rule;
  rule.multiplier = 0.5;
  rule.soft_cap = 3;
  expect_as_plain(5, 0.25, rule);
}

TEST(Divergence, OfAStudentThatIsTheTeacherIsZero) {
  at::manual_seed(3);
  const Tensor logits = at::randn({4, kVocabulary});
  const Tensor targets = at::randint(0, kVocabulary, {4}, at::kLong);
  Tensor gradients = logits.clone();
  std::vector<double> losses(4);
  divergence_of_rows(gradients, greatest_of(logits, 5), targets, 0, losses.data());
  for (const double loss : losses) EXPECT_NEAR(loss, 0, 1e-6);
  EXPECT_LE(gradients.abs().max().item<float>(), 1e-6);
}

TEST(Divergence, StaysFiniteWhereTheStudentGivesTheRestNothing) {
  const Tensor teacher = at::tensor({1.f, 0.f, 0.f}).view({1, 3});
  Tensor logits = at::tensor({500.f, 0.f, 0.f}).view({1, 3});
  double loss = 0;
  divergence_of_rows(logits, greatest_of(teacher, 1), at::tensor({0}, at::kLong), 0, &loss);
  EXPECT_TRUE(std::isfinite(loss));
  EXPECT_TRUE(logits.isfinite().all().item<bool>());
  EXPECT_GT(loss, 10);
}

TEST(Divergence, IsTheSameByTorchsOperators) {
  for (const std::int64_t count : {std::int64_t{1}, std::int64_t{5}, kVocabulary}) {
    const Predictions c = random_predictions(7, count);
    Tensor ours = at::randn({7, kVocabulary}), theirs = ours.clone();
    std::vector<double> our_losses(7), their_losses(7);
    divergence_of_rows(ours, c.teacher, c.targets, 0.25, our_losses.data());
    divergence_of_rows_by_torch(theirs, c.teacher, c.targets, 0.25, their_losses.data());
    EXPECT_LE(distance(ours, theirs), 1e-5);
    for (std::size_t i = 0; i < 7; ++i) EXPECT_NEAR(our_losses[i], their_losses[i], 1e-5);
  }
}

TEST(GreatestOf, FallsAndKeepsTheFirstOfEqualOnes) {
  const Tensor logits = at::tensor({2.f, 7.f, 2.f, -1.f, 7.f, 2.f}).view({1, 6});
  const TeacherRows rows = greatest_of(logits, 4);
  EXPECT_TRUE(rows.ids.equal(at::tensor({1, 4, 0, 2}, at::kInt).view({1, 4})));
  const Tensor expected = at::log_softmax(logits, 1).gather(1, rows.ids.to(at::kLong));
  EXPECT_LE(distance(rows.log_probabilities, expected), 1e-5);
}

}  // namespace
}  // namespace qloft::backend
