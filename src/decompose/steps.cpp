#include "steps.h"

#include <algorithm>
#include <array>

namespace qloft::decompose {
namespace {

template <typename Choice, typename Function>
struct Row {
  Choice choice;
  Function function;
};

constexpr std::array kQuantizers = {
    Row<Quantizer, Quantize>{Quantizer::nearest, quantize_nearest},
    Row<Quantizer, Quantize>{Quantizer::gptq, quantize_gptq},
};
constexpr std::array kMetrics = {
    Row<Metric, MakeCoordinates>{Metric::frobenius, frobenius_coordinates},
    Row<Metric, MakeCoordinates>{Metric::fisher, fisher_coordinates},
    Row<Metric, MakeCoordinates>{Metric::gram_diagonal, gram_diagonal_coordinates},
    Row<Metric, MakeCoordinates>{Metric::gram, gram_coordinates},
    Row<Metric, MakeCoordinates>{Metric::fisher_gram, fisher_gram_coordinates},
};
constexpr std::array kSolvers = {
    Row<LowRankSolver, Solve>{LowRankSolver::none, start_from_zero},
    Row<LowRankSolver, Solve>{LowRankSolver::truncated_svd, solve_truncated_svd},
};
constexpr std::array kLoops = {
    Row<Loop, RunLoop>{Loop::once, run_once},
    Row<Loop, RunLoop>{Loop::quantize_first, run_quantize_first},
    Row<Loop, RunLoop>{Loop::low_rank_first, run_low_rank_first},
    Row<Loop, RunLoop>{Loop::quantize_until_best, run_quantize_until_best},
};

auto function_of(const auto& table, auto choice) {
  const auto row = std::find_if(table.begin(), table.end(), [choice](const auto& candidate) {
    return candidate.choice == choice;
  });
  if (row == table.end()) throw InputError({{}, "recipe"}, "unknown step");
  return row->function;
}

}  // namespace

Steps steps_of(const Recipe& recipe) {
  return {.quantize = function_of(kQuantizers, recipe.quantizer),
          .solve = function_of(kSolvers, recipe.low_rank)};
}

RunLoop loop_of(const Recipe& recipe) {
  return function_of(kLoops, recipe.loop);
}

MakeCoordinates metric_of(const Recipe& recipe) {
  return function_of(kMetrics, recipe.metric);
}

}  // namespace qloft::decompose
