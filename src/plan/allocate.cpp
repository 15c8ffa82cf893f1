#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "problem.h"
#include "qloft/core/error.h"
#include "steps.h"
#include "strategies.h"

namespace qloft::plan {
namespace {

struct Row {
  Strategy strategy;
  std::string_view name;
  Choose choose;
};
constexpr std::array kStrategies = {
    Row{Strategy::ilp, "ilp", choose_ilp},
    Row{Strategy::greedy, "greedy", choose_greedy},
    Row{Strategy::first_layers, "first-layers", choose_first_layers},
    Row{Strategy::uniform, "uniform", choose_uniform},
};

}  // namespace

std::vector<std::string_view> strategy_names() {
  std::vector<std::string_view> names;
  names.reserve(kStrategies.size());
  for (const Row& row : kStrategies) names.push_back(row.name);
  return names;
}

std::string_view name(Strategy strategy) {
  const auto row = std::ranges::find(kStrategies, strategy, &Row::strategy);
  return row == kStrategies.end() ? std::string_view() : row->name;
}

std::optional<Strategy> strategy_from_name(std::string_view name) {
  const auto row = std::ranges::find(kStrategies, name, &Row::name);
  if (row == kStrategies.end()) return std::nullopt;
  return row->strategy;
}

std::string shown_bits(double bits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.3f bits per weight", bits);
  return text;
}

Range reachable(const Table& table, const Constraints& constraints) {
  return range_of(shape_of(table, constraints));
}

std::uint64_t budget_of(const Table& table, double bits_per_weight) {
  double weights = 0;
  for (const MatrixRow& matrix : table.matrices) {
    weights += static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns);
  }
  const double bytes = weights * bits_per_weight / 8.0;
  constexpr double kMost = 9e18;
  if (!(bytes >= 0.0 && bytes < kMost)) {
    throw InputError({{}, "bits"},
                     "expected a number of bits, found " + std::to_string(bits_per_weight));
  }
  // A budget that is some allocation's own figure must not lose its last byte to rounding.
  return static_cast<std::uint64_t>(bytes * (1 + 1e-15) + 1e-6);
}

Allocation allocate(const Table& table, std::uint64_t budget, Strategy strategy,
                    const Constraints& constraints, double time_limit) {
  const auto begin = std::chrono::steady_clock::now();
  Problem problem = shape_of(table, constraints);
  add_options(problem);
  problem.budget = budget;
  problem.time_limit = time_limit;
  if (const Range range = range_of(problem); budget < range.least) {
    throw InputError({{}, "budget"}, "expected " + std::to_string(range.least) + " to " +
                                         std::to_string(range.most) + " bytes (" +
                                         shown_bits(problem.bits(range.least)) + " to " +
                                         shown_bits(problem.bits(range.most)) + "), found " +
                                         std::to_string(budget) + " bytes (" +
                                         shown_bits(problem.bits(budget)) + ")");
  }
  const auto row = std::ranges::find(kStrategies, strategy, &Row::strategy);
  if (row == kStrategies.end()) throw InputError({{}, "strategy"}, "unknown strategy");

  Allocation result;
  result.bound = relax(problem, steps_of(problem)).bound;
  result.formats = row->choose(problem, result.bound);
  for (std::size_t m = 0; m < result.formats.size(); ++m) {
    result.bytes += problem.bytes[m][result.formats[m]];
    result.objective += table.matrices[m].errors[result.formats[m]];
  }
  // Sums of one set of errors in two orders may differ in their last digits.
  result.bound = std::clamp(result.bound, 0.0, result.objective);
  result.gap = result.objective > 0 ? (result.objective - result.bound) / result.objective : 0.0;
  result.bits_per_weight = problem.bits(result.bytes);
  for (const Item& item : problem.items) {
    result.choices += item.options.size() * item.matrices.size();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace qloft::plan
