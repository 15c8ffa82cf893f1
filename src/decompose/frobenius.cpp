#include <vector>

#include "parts.h"

namespace qloft::decompose {
namespace {

// Rows that are dequantized, subtracted and summed while they are in the cache.
constexpr std::int64_t kRowsASum = 16;

// row <- weight - row; the sum of squares.
double subtract_from(const float* weight, float* row, std::int64_t count) {
  constexpr std::int64_t kLanes = 8;
  double lanes[kLanes] = {};
  std::int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const float value = weight[j + lane] - row[j + lane];
      row[j + lane] = value;
      lanes[lane] += static_cast<double>(value) * value;
    }
  }
  for (; j < count; ++j) {
    const float value = weight[j] - row[j];
    row[j] = value;
    lanes[0] += static_cast<double>(value) * value;
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

double residual_frobenius(const quant::PackedMatrix& q, Work& work) {
  const MatrixView<float> residual = work.residual.view();
  std::vector<double> sums(static_cast<std::size_t>(ceil_divide(residual.rows, kRowsASum)));
  parallel_for(residual.rows, kRowsASum, [&](std::int64_t begin, std::int64_t end) {
    quant::dequantize(q, residual.block(begin, 0, end - begin, residual.columns), begin);
    double sum = 0.0;
    for (std::int64_t i = begin; i < end; ++i) {
      sum += subtract_from(work.weight.row(i), residual.row(i), residual.columns);
    }
    sums[static_cast<std::size_t>(begin / kRowsASum)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace qloft::decompose
