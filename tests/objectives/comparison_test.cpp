#include <ATen/core/grad_mode.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include "qloft/core/error.h"
#include "qloft/objectives.h"
#include "small_llama.h"

namespace qloft::objectives {
namespace {

using at::Tensor;
using model::Model;
using model::TeacherRows;

Model of_seed(std::uint64_t seed) {
  return Model::random(test::small_llama(), {}, seed);
}

Tensor flat_states(Model& model, const model::Input& input) {
  const at::NoGradGuard no_grad;
  const Tensor hidden = model.hidden(input);
  return hidden.view({-1, hidden.size(-1)});
}

class ComparisonOf : public ::testing::Test {
 protected:
  ComparisonOf() { at::manual_seed(1); }
  Model teacher_ = of_seed(5), student_ = of_seed(6);
  const model::Input input_{at::randint(3, 64, {2, 9}, at::kLong)};
};

TEST_F(ComparisonOf, GivesTheLossAndTheDivergenceThatTrainingHas) {
  const at::NoGradGuard no_grad;
  for (const std::int64_t count : {4, 64}) {
    const TeacherRows rows = teacher_rows(teacher_, input_, {}, count);
    const Comparison found = comparison_of(student_, flat_states(student_, input_), input_, rows);
    EXPECT_EQ(found.count, 16);
    EXPECT_NEAR(found.loss, next_token(student_, input_).sum.item<double>(), 1e-4);
    EXPECT_NEAR(found.divergence, distillation(student_, input_, {}, rows, 0).sum.item<double>(),
                1e-4);
  }
}

TEST_F(ComparisonOf, ATeacherWithItselfHasNoDivergence) {
  const TeacherRows rows = teacher_rows(teacher_, input_, {}, 4);
  const Comparison found = comparison_of(teacher_, flat_states(teacher_, input_), input_, rows);
  EXPECT_NEAR(found.divergence, 0, 1e-5);
}

TEST_F(ComparisonOf, RefusesATeacherOfOtherPredictions) {
  const model::Input other{input_.ids.narrow(1, 0, 5)};
  const TeacherRows rows = teacher_rows(teacher_, other, {}, 4);
  EXPECT_THROW(comparison_of(student_, flat_states(student_, input_), input_, rows), InputError);
}

TEST_F(ComparisonOf, TeacherRowsOfStatesAreThoseOfTheInput) {
  const TeacherRows a = teacher_rows(teacher_, input_, {}, 4);
  const TeacherRows b = teacher_rows_of(teacher_, flat_states(teacher_, input_), input_, {}, 4);
  EXPECT_TRUE(a.ids.equal(b.ids));
  EXPECT_TRUE(a.log_probabilities.equal(b.log_probabilities));
}

}  // namespace
}  // namespace qloft::objectives
