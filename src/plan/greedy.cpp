#include <algorithm>

#include "problem.h"
#include "steps.h"
#include "strategies.h"

namespace qloft::plan {
namespace {

double gain_a_byte(const Option& from, const Option& to) {
  return (from.error - to.error) / static_cast<double>(to.bytes - from.bytes);
}

// The corners of the lower convex hull of an item's options, from the smallest on.
std::vector<std::size_t> hull_of(const Item& item) {
  const std::vector<Option>& options = item.options;
  std::vector<std::size_t> hull;
  for (std::size_t o = 0; o < options.size(); ++o) {
    while (hull.size() > 1) {
      const Option& before = options[hull[hull.size() - 2]];
      const Option& corner = options[hull.back()];
      if (gain_a_byte(before, corner) > gain_a_byte(corner, options[o])) break;
      hull.pop_back();
    }
    hull.push_back(o);
  }
  return hull;
}

// The single change of one item that lowers the error most within `left` bytes; false: none does.
bool improve(const Problem& problem, Choice& choice, std::uint64_t& left) {
  std::size_t best_item = 0, best_option = 0;
  double most = 0;
  for (std::size_t i = 0; i < choice.size(); ++i) {
    const std::vector<Option>& options = problem.items[i].options;
    const Option& now = options[choice[i]];
    std::size_t o = choice[i];
    while (o + 1 < options.size() && options[o + 1].bytes - now.bytes <= left) ++o;
    if (now.error - options[o].error <= most) continue;
    most = now.error - options[o].error;
    best_item = i;
    best_option = o;
  }
  if (most == 0) return false;
  const std::vector<Option>& options = problem.items[best_item].options;
  left -= options[best_option].bytes - options[choice[best_item]].bytes;
  choice[best_item] = best_option;
  return true;
}

}  // namespace

std::vector<Step> steps_of(const Problem& problem) {
  std::vector<Step> steps;
  for (std::size_t i = 0; i < problem.items.size(); ++i) {
    const std::vector<Option>& options = problem.items[i].options;
    const std::vector<std::size_t> hull = hull_of(problem.items[i]);
    for (std::size_t k = 1; k < hull.size(); ++k) {
      const Option& from = options[hull[k - 1]];
      const Option& to = options[hull[k]];
      steps.push_back({i, hull[k - 1], hull[k], to.bytes - from.bytes, from.error - to.error});
    }
  }
  // Stable: the steps of one item, whose gains a byte fall, stay in order.
  std::ranges::stable_sort(steps, std::ranges::greater(), [](const Step& step) {
    return step.gain / static_cast<double>(step.bytes);
  });
  return steps;
}

Relaxation relax(const Problem& problem, const std::vector<Step>& steps) {
  const Choice smallest(problem.items.size(), 0);
  double error = error_of(problem, smallest);
  std::uint64_t left = problem.budget - bytes_of(problem, smallest);
  for (const Step& step : steps) {
    if (step.bytes > left) {
      const double price = step.gain / static_cast<double>(step.bytes);
      return {error - price * static_cast<double>(left), price};
    }
    left -= step.bytes;
    error -= step.gain;
  }
  return {error, 0.0};
}

Choice greedy_choice(const Problem& problem, const std::vector<Step>& steps) {
  Choice choice(problem.items.size(), 0);
  std::uint64_t left = problem.budget - bytes_of(problem, choice);
  for (const Step& step : steps) {
    // A step whose predecessor did not fit is no step from here.
    if (step.bytes > left || choice[step.item] != step.from) continue;
    choice[step.item] = step.to;
    left -= step.bytes;
  }
  while (improve(problem, choice, left)) {
  }
  return choice;
}

std::vector<std::size_t> choose_greedy(const Problem& problem, double&) {
  return formats_of(problem, greedy_choice(problem, steps_of(problem)));
}

}  // namespace qloft::plan
