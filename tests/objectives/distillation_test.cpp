#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "gradients.h"
#include "qloft/core/error.h"
#include "qloft/objectives.h"
#include "random_adapter.h"
#include "small_llama.h"

namespace qloft::objectives {
namespace {

using at::Tensor;
using model::Model;
using model::TeacherRows;
using test::distance;

Model model_of_seed(std::uint64_t seed) {
  return Model::random(test::small_llama(), {}, seed);
}

Tensor some_ids() {
  at::manual_seed(1);
  return at::randint(3, 64, {2, 9}, at::kLong);
}

TEST(Distillation, TeacherRowsAreTheGreatestOfEachPrediction) {
  Model teacher = model_of_seed(5);
  const Tensor ids = some_ids();
  const TeacherRows rows = teacher_rows(teacher, {ids}, {}, 4);
  const at::NoGradGuard no_grad;
  const Tensor logits = teacher.logits(teacher.hidden({ids})).narrow(1, 0, 8).reshape({16, -1});
  const auto [values, places] = at::log_softmax(logits, 1).topk(4);
  EXPECT_TRUE(rows.ids.to(at::kLong).equal(places));
  EXPECT_LE(distance(rows.log_probabilities, values), 1e-5);
}

TEST(Distillation, OfTheTeacherItselfIsZero) {
  Model teacher = model_of_seed(5);
  const Tensor ids = some_ids();
  const Loss loss = distillation(teacher, {ids}, {}, teacher_rows(teacher, {ids}, {}, 4), 0);
  EXPECT_EQ(loss.count, 16);
  EXPECT_NEAR(loss.sum.item<double>(), 0, 1e-4);
}

TEST(Distillation, WithTheNextTokenAloneIsTheNextTokenLoss) {
  Model teacher = model_of_seed(5), student = model_of_seed(6);
  const Tensor ids = some_ids();
  const at::NoGradGuard no_grad;
  const Loss loss = distillation(student, {ids}, {}, teacher_rows(teacher, {ids}, {}, 4), 1);
  EXPECT_NEAR(loss.sum.item<double>(), next_token(student, {ids}).sum.item<double>(), 1e-3);
}

TEST(Distillation, CountsWhatTheLossMaskKeeps) {
  Model model = model_of_seed(5);
  const Tensor ids = some_ids();
  Tensor mask = at::zeros({2, 9}, at::kLong);
  mask[1][4] = 1;
  const TeacherRows rows = teacher_rows(model, {ids}, mask, 4);
  EXPECT_EQ(rows.ids.size(0), 1);
  EXPECT_EQ(distillation(model, {ids}, mask, rows, 0).count, 1);
}

TEST(Distillation, OfStatesIsTheirSquaredErrorBesideTheTeachers) {
  Model teacher = model_of_seed(5), student = model_of_seed(6);
  const Tensor ids = some_ids();
  const Tensor states = teacher_states(teacher, {ids}, {});
  const at::NoGradGuard no_grad;
  const Tensor own = student.hidden({ids}).narrow(1, 0, 8).reshape({16, -1});
  const Tensor wanted = states.to(at::kFloat);
  const Tensor expected = ((own - wanted).square().sum(1) / wanted.square().sum(1)).sum();
  const Loss loss = distillation_of_states(student, {ids}, {}, states, 0);
  EXPECT_EQ(loss.count, 16);
  EXPECT_NEAR(loss.sum.item<double>(), expected.item<double>(), 1e-3);
  const double mixed = distillation_of_states(student, {ids}, {}, states, 0.25).sum.item<double>();
  const double likelihood = next_token(student, {ids}).sum.item<double>();
  EXPECT_NEAR(mixed, 0.75 * expected.item<double>() + 0.25 * likelihood, 1e-2);
  EXPECT_THROW(distillation_of_states(student, {ids}, {}, states.narrow(0, 0, 3), 0), InputError);
}

TEST(Distillation, OfABlockReachesThatBlockAlone) {
  Model teacher = model_of_seed(5), student = model_of_seed(6);
  const Tensor ids = some_ids();
  const Tensor x = teacher.embed({ids});
  Tensor wanted;
  {
    const at::NoGradGuard no_grad;
    wanted = teacher.block(1, x, {}).narrow(1, 0, 8).reshape({16, -1});
  }
  EXPECT_NEAR(distillation_of_block(teacher, 1, x, {ids}, {}, wanted).sum.item<double>(), 0, 1e-6);

  const auto id = student.attach("default", test::random_adapter(student.layout(), 2, 1), true);
  const Loss loss =
      distillation_of_block(student, 1, x, {.ids = ids, .adapters = {id}}, {}, wanted);
  EXPECT_EQ(loss.count, 16);
  loss.sum.backward();
  const auto within = student.trainable(1);
  EXPECT_EQ(within.size(), student.trainable().size() / 4);
  for (const auto& [name, tensor] : student.trainable()) {
    const bool of_block = name.find("layers.1.") != std::string::npos;
    EXPECT_EQ(tensor.grad().defined(), of_block) << name;
    EXPECT_EQ(std::ranges::count(within, name, [](const auto& one) { return one.first; }),
              of_block ? 1 : 0)
        << name;
  }
}

TEST(Distillation, RefusesRowsThatAreNotOfThesePredictions) {
  Model model = model_of_seed(5);
  const Tensor ids = some_ids();
  TeacherRows rows = teacher_rows(model, {ids.narrow(1, 0, 8)}, {}, 4);
  EXPECT_THROW(distillation(model, {ids}, {}, rows, 0), InputError);
  rows = teacher_rows(model, {ids}, {}, 4);
  rows.ids[3][2] = 512;
  EXPECT_THROW(distillation(model, {ids}, {}, rows, 0), InputError);
}

}  // namespace
}  // namespace qloft::objectives
