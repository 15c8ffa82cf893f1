#include "parts.h"

#include <algorithm>
#include <array>

namespace qloft::decompose {
namespace {

template <typename Choice, typename Part>
struct Row {
  Choice choice;
  Part part;
};

constexpr std::array kQuantizers = {
    Row<Quantizer, QuantizerPart>{Quantizer::nearest, quantize_nearest},
    Row<Quantizer, QuantizerPart>{Quantizer::gptq, quantize_gptq},
};
constexpr std::array kMetrics = {
    Row<Metric, MetricPart>{Metric::frobenius, frobenius_coordinates},
    Row<Metric, MetricPart>{Metric::fisher, fisher_coordinates},
    Row<Metric, MetricPart>{Metric::gram_diagonal, gram_diagonal_coordinates},
    Row<Metric, MetricPart>{Metric::gram, gram_coordinates},
    Row<Metric, MetricPart>{Metric::fisher_gram, fisher_gram_coordinates},
};
constexpr std::array kSolvers = {
    Row<LowRank, LowRankPart>{LowRank::none, start_from_zero},
    Row<LowRank, LowRankPart>{LowRank::truncated_svd, solve_truncated_svd},
};
constexpr std::array kLoops = {
    Row<Loop, LoopPart>{Loop::once, run_once},
    Row<Loop, LoopPart>{Loop::quantize_first, run_quantize_first},
    Row<Loop, LoopPart>{Loop::low_rank_first, run_low_rank_first},
};

auto part_of(const auto& table, auto choice) {
  const auto row = std::find_if(table.begin(), table.end(), [choice](const auto& candidate) {
    return candidate.choice == choice;
  });
  if (row == table.end()) throw InputError({{}, "recipe"}, "unknown part");
  return row->part;
}

}  // namespace

Parts parts_of(const Recipe& recipe) {
  return {.quantize = part_of(kQuantizers, recipe.quantizer),
          .solve = part_of(kSolvers, recipe.low_rank)};
}

LoopPart loop_of(const Recipe& recipe) {
  return part_of(kLoops, recipe.loop);
}

MetricPart metric_of(const Recipe& recipe) {
  return part_of(kMetrics, recipe.metric);
}

}  // namespace qloft::decompose
