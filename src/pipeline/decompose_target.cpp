#include "decompose_target.h"

#include <cmath>

#include "clock.h"
#include "matrix_statistics.h"
#include "qloft/core/error.h"

namespace qloft::pipeline {
namespace {

// The recipe with what is the target's own.
decompose::Recipe recipe_of(const QuantizeTarget& target, const QuantizeJob& job) {
  decompose::Recipe recipe = job.recipe;
  recipe.format = target.format;
  recipe.rank = target.rank.value_or(job.recipe.rank);
  if (target.adapted && recipe.rank > 0) recipe.scale = job.adapter.scale_of(target.module);
  if (!target.adapted) {
    recipe.rank = 0;
    recipe.low_rank = decompose::LowRankSolver::none;
    recipe.loop = decompose::Loop::once;
  }
  return recipe;
}

DecomposedTarget decompose_by(const quantized::ModelFiles& files, const QuantizeTarget& target,
                              const decompose::Recipe& recipe,
                              const decompose::Statistics& statistics, Clock::time_point begin) {
  DecomposedTarget out{.recipe = recipe, .result = {}};
  const Matrix weight = files.read_matrix(target.id);
  files.drop(target.id);
  try {
    out.result = decompose::decompose(weight.view(), recipe, statistics, target.weight());
    if (!std::isfinite(out.result.final_error()) ||
        !std::isfinite(out.result.final_metric_error())) {
      throw ComputationError({}, "the error is not finite");
    }
  } catch (const Error&) {
    rethrow_naming(target, files);
  }
  out.seconds = seconds_since(begin);
  return out;
}

}  // namespace

DecomposedTarget decompose_target(const quantized::ModelFiles& files, const QuantizeTarget& target,
                                  const QuantizeJob& job) {
  const auto begin = Clock::now();
  decompose::Recipe recipe = recipe_of(target, job);
  const decompose::Statistics statistics = statistics_of(job.statistics, target, recipe);
  return decompose_by(files, target, recipe, statistics, begin);
}

DecomposedTarget decompose_target(const quantized::ModelFiles& files, const QuantizeTarget& target,
                                  const QuantizeJob& job, const decompose::Statistics& statistics) {
  return decompose_by(files, target, recipe_of(target, job), statistics, Clock::now());
}

}  // namespace qloft::pipeline
