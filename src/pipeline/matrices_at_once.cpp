#include "matrices_at_once.h"

#include <algorithm>
#include <cmath>

#include "qloft/core/checked.h"
#include "qloft/core/threads.h"

namespace qloft::pipeline {
namespace {

constexpr double kWorkingBytes = 768.0 * (1 << 20);

// What one matrix takes while it is decomposed, in bytes: the weight, the residual and the target,
// codes, factors, what GPTQ keeps, and the square matrices of a metric.
double working_bytes(const QuantizeTarget& target, const decompose::Recipe& recipe) {
  const auto rows = static_cast<double>(target.rows), columns = static_cast<double>(target.columns);
  const double elements = recipe.quantizer == decompose::Quantizer::gptq ? 5 : 4;
  const double squares = decompose::needs_gram(recipe.metric) && !target.input_of.empty() ? 3 : 0;
  const double factors = 6.0 * static_cast<double>(recipe.rank);
  return sizeof(float) *
         (elements * rows * columns + squares * columns * columns + factors * (rows + columns));
}

}  // namespace

int matrices_at_once(const std::vector<const QuantizeTarget*>& targets,
                     const decompose::Recipe& recipe) {
  double largest = 1;
  for (const QuantizeTarget* target : targets) {
    largest = std::max(largest, working_bytes(*target, recipe));
  }
  const int threads = thread_count();
  const double most =
      std::clamp(std::floor(kWorkingBytes / largest), 1.0, static_cast<double>(threads));
  // As many as leaves each the same share of the threads.
  return threads / ceil_divide(threads, static_cast<int>(most));
}

}  // namespace qloft::pipeline
