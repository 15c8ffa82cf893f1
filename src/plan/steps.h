#pragma once
// The order in which a budget is best spent, were matrices divisible: the linear relaxation.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "problem.h"

namespace qloft::plan {

// Moves within one item to an option of smaller error: from one corner of the lower convex hull of
// its (bytes, error) to the next.
struct Step {
  std::size_t item = 0;
  std::size_t from = 0;
  std::size_t to = 0;
  std::uint64_t bytes = 0;  // more
  double gain = 0;          // less error
};
// Of all items, by falling gain a byte; those of one item in order. Taken in turn from the smallest
// options on, the last in part, they solve the problem without its integrality (Sinha & Zoltners
// 1979).
std::vector<Step> steps_of(const Problem& problem);
struct Relaxation {
  double bound = 0;  // its least error
  double price = 0;  // error that one byte more would save
};
Relaxation relax(const Problem& problem, const std::vector<Step>& steps);
// The greedy choice: each step that fits, then whatever single change still lowers the error most.
Choice greedy_choice(const Problem& problem, const std::vector<Step>& steps);

}  // namespace qloft::plan
