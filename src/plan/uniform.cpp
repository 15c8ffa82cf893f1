#include <algorithm>
#include <limits>

#include "problem.h"
#include "qloft/core/error.h"
#include "strategies.h"

namespace qloft::plan {

std::vector<std::size_t> choose_uniform(const Problem& problem, double&) {
  constexpr auto kNone = std::numeric_limits<std::uint64_t>::max();
  std::size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  std::uint64_t smallest = kNone;
  const std::size_t matrices = problem.table.matrices.size();
  for (std::size_t f = 0; f < problem.table.formats.size(); ++f) {
    std::uint64_t bytes = 0;
    double error = 0;
    bool allowed = true;
    for (std::size_t m = 0; m < matrices; ++m) {
      allowed = allowed && problem.allows(m, f);
      bytes += problem.bytes[m][f];
      error += problem.table.matrices[m].errors[f];
    }
    if (!allowed) continue;
    smallest = std::min(smallest, bytes);
    if (bytes > problem.budget || error >= least) continue;
    least = error;
    best = f;
  }
  if (least == std::numeric_limits<double>::infinity()) {
    throw InputError({{}, "strategy"},
                     smallest == kNone
                         ? std::string("uniform: no candidate is allowed in every matrix")
                         : "uniform: the smallest format takes " +
                               shown_bits(problem.bits(smallest)) + ", the budget is " +
                               shown_bits(problem.bits(problem.budget)));
  }
  return std::vector<std::size_t>(matrices, best);
}

}  // namespace qloft::plan
