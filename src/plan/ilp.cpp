#include <CbcModel.hpp>
#include <CbcSOS.hpp>
#include <CoinError.hpp>
#include <CoinPackedMatrix.hpp>
#include <OsiClpSolverInterface.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "problem.h"
#include "qloft/core/error.h"
#include "steps.h"
#include "strategies.h"

namespace qloft::plan {
namespace {

constexpr double kGap = 1e-5;

// The options of each item that a choice better than `known` (by kGap) may have. At the
// relaxation's price a byte, every item on its own has a cheapest option, and together these give
// the bound; an option that costs so much more than its item's cheapest that the bound passes
// `known` is in no better choice. `known`'s own options stay.
std::vector<std::vector<std::size_t>> worthwhile(const Problem& problem, const Relaxation& relaxed,
                                                 const Choice& known) {
  const double least_saving = error_of(problem, known) * (1 - kGap) - relaxed.bound;
  std::vector<std::vector<std::size_t>> kept;
  for (std::size_t i = 0; i < problem.items.size(); ++i) {
    const std::vector<Option>& options = problem.items[i].options;
    const auto cost = [&](const Option& option) {
      return option.error + relaxed.price * static_cast<double>(option.bytes);
    };
    const double cheapest = cost(*std::ranges::min_element(options, {}, cost));
    kept.emplace_back();
    for (std::size_t o = 0; o < options.size(); ++o) {
      if (o == known[i] || cost(options[o]) - cheapest < least_saving) kept.back().push_back(o);
    }
  }
  return kept;
}

// The program in numbers that suit a floating-point solver: bytes above the smallest choice in
// units of their greatest common divisor, errors over the known choice's.
class Program {
 public:
  Program(const Problem& problem, std::vector<std::vector<std::size_t>> kept, double error_unit)
      : problem_(problem), kept_(std::move(kept)), error_unit_(error_unit) {
    std::uint64_t least = 0;
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      for (const std::size_t o : kept_[i]) byte_unit_ = std::gcd(byte_unit_, more_bytes(i, o));
      least += option(i, kept_[i].front()).bytes;
      first_column_.push_back(columns_);
      columns_ += static_cast<int>(kept_[i].size());
    }
    byte_unit_ = std::max<std::uint64_t>(byte_unit_, 1);
    // Every choice takes whole units: half a one more keeps rounding away from the border.
    const std::uint64_t whole_units = (problem.budget - least) / byte_unit_;
    most_units_ = static_cast<double>(whole_units) + 0.5;
  }

  int columns() const { return columns_; }

  void load(OsiClpSolverInterface& solver) const {
    const int rows = static_cast<int>(kept_.size()) + 1;
    const auto count = static_cast<std::size_t>(columns_);
    CoinPackedMatrix matrix(true, 0, 0);
    matrix.setDimensions(rows, 0);
    std::vector<double> objective;
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      for (const std::size_t o : kept_[i]) {
        const int at[] = {static_cast<int>(i), rows - 1};
        const double values[] = {1.0, static_cast<double>(more_units(i, o))};
        matrix.appendCol(2, at, values);
        objective.push_back(option(i, o).error / error_unit_);
      }
    }
    const std::vector<double> lower(count, 0.0), upper(count, 1.0);
    std::vector<double> row_lower(static_cast<std::size_t>(rows), 1.0), row_upper = row_lower;
    row_lower.back() = 0.0;
    row_upper.back() = most_units_;
    solver.loadProblem(matrix, lower.data(), upper.data(), objective.data(), row_lower.data(),
                       row_upper.data());
    for (int c = 0; c < columns_; ++c) solver.setInteger(c);
  }

  std::vector<double> solution_of(const Choice& choice) const {
    std::vector<double> out(static_cast<std::size_t>(columns_), 0.0);
    for (std::size_t i = 0; i < choice.size(); ++i) {
      const auto kept = std::ranges::find(kept_[i], choice[i]) - kept_[i].begin();
      out[static_cast<std::size_t>(first_column_[i] + kept)] = 1.0;
    }
    return out;
  }
  Choice choice_of(const double* solution) const {
    Choice choice;
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      const double* first = solution + first_column_[i];
      choice.push_back(kept_[i][static_cast<std::size_t>(
          std::max_element(first, first + kept_[i].size()) - first)]);
    }
    return choice;
  }

  // Branching cuts the options of an item at a size: both sides then raise the bound, where leaving
  // out a single option would put its neighbour in its place.
  void add_sets(CbcModel& model) const {
    std::vector<std::unique_ptr<CbcObject>> sets;
    std::vector<CbcObject*> pointers;
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      if (kept_[i].size() < 2) continue;
      std::vector<int> columns(kept_[i].size());
      std::iota(columns.begin(), columns.end(), first_column_[i]);
      std::vector<double> sizes;
      sizes.reserve(kept_[i].size());
      for (const std::size_t o : kept_[i]) {
        sizes.push_back(static_cast<double>(more_units(i, o)));
      }
      sets.push_back(std::make_unique<CbcSOS>(&model, static_cast<int>(columns.size()),
                                              columns.data(), sizes.data(), static_cast<int>(i),
                                              1));
      sets.back()->setPriority(1);
      pointers.push_back(sets.back().get());
    }
    model.addObjects(static_cast<int>(pointers.size()), pointers.data());
  }

 private:
  const Option& option(std::size_t i, std::size_t o) const { return problem_.items[i].options[o]; }
  // Than the item's smallest kept option.
  std::uint64_t more_units(std::size_t i, std::size_t o) const {
    return more_bytes(i, o) / byte_unit_;
  }
  std::uint64_t more_bytes(std::size_t i, std::size_t o) const {
    return option(i, o).bytes - option(i, kept_[i].front()).bytes;
  }

  const Problem& problem_;
  std::vector<std::vector<std::size_t>> kept_;
  double error_unit_;
  std::uint64_t byte_unit_ = 0;
  double most_units_ = 0;
  int columns_ = 0;
  std::vector<int> first_column_;
};

}  // namespace

std::vector<std::size_t> choose_ilp(const Problem& problem, double& bound) {
  const std::vector<Step> steps = steps_of(problem);
  const Relaxation relaxed = relax(problem, steps);
  Choice best = greedy_choice(problem, steps);
  const double start = error_of(problem, best);
  if (start - relaxed.bound <= kGap * start) return formats_of(problem, best);
  const Program program(problem, worthwhile(problem, relaxed, best), start);
  try {
    OsiClpSolverInterface solver;
    solver.messageHandler()->setLogLevel(0);
    solver.setHintParam(OsiDoReducePrint, true, OsiHintTry);
    program.load(solver);
    CbcModel model(solver);
    model.setLogLevel(0);
    model.setUseElapsedTime(true);
    model.setMaximumSeconds(problem.time_limit);
    model.setAllowableFractionGap(kGap);
    model.setAllowableGap(1e-9);
    model.setDblParam(CbcModel::CbcCutoffIncrement, 1e-9);
    const std::vector<double> known = program.solution_of(best);
    model.setBestSolution(known.data(), program.columns(), 1.0);
    program.add_sets(model);
    model.branchAndBound();
    if (model.bestSolution() != nullptr) {
      const Choice found = program.choice_of(model.bestSolution());
      if (bytes_of(problem, found) <= problem.budget && error_of(problem, found) < start) {
        best = found;
      }
    }
    // A finished search has left out what is better by less than kGap.
    bound = std::max(bound, std::min(start * model.getBestPossibleObjValue(),
                                     error_of(problem, best) * (1 - kGap)));
  } catch (const CoinError& error) {
    throw ComputationError({{}, "ilp"}, error.message());
  }
  return formats_of(problem, best);
}

}  // namespace qloft::plan
