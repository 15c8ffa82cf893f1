#include "residual.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "int8_matrix.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

// Rows that are dequantized, subtracted and summed while they are in the cache.
constexpr std::int64_t kRowsASum = 16;
// Rows that are copied, or corrected by a product, while they are in the cache.
constexpr std::int64_t kRowsAtOnce = 128;
// Columns of the rows that go to 8 bits together.
constexpr std::int64_t kColumnsAtOnce = 1024;

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

double take_residual(const quant::PackedMatrix& q, Work& work) {
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

double squared_distance(MatrixView<const float> target, const quant::PackedMatrix& q) {
  std::vector<double> sums(static_cast<std::size_t>(ceil_divide(target.rows, kRowsASum)));
  parallel_for(target.rows, kRowsASum, [&](std::int64_t begin, std::int64_t end) {
    Matrix values(end - begin, target.columns);
    quant::dequantize(q, values.view(), begin);
    double sum = 0.0;
    for (std::int64_t i = begin; i < end; ++i) {
      sum += subtract_from(target.row(i), &values(i - begin, 0), target.columns);
    }
    sums[static_cast<std::size_t>(begin / kRowsASum)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

double to_bytes(Work& work) {
  const std::int64_t rows = work.residual.rows(), columns = work.residual.columns();
  std::vector<double> sums(static_cast<std::size_t>(ceil_divide(rows, kernels::kInt8Block)));
  parallel_for(rows, kernels::kInt8Block, [&](std::int64_t begin, std::int64_t end) {
    double sum = 0.0;
    for (std::int64_t j = 0; j < columns; j += kColumnsAtOnce) {
      const MatrixView<const float> part =
          work.residual.view().block(begin, j, end - begin, std::min(kColumnsAtOnce, columns - j));
      sum += linalg::squared_norm(part);
      work.bytes->set(begin, j, part);
    }
    sums[static_cast<std::size_t>(begin / kernels::kInt8Block)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

double take_residual_in_bytes(const quant::PackedMatrix& q, Work& work) {
  const std::int64_t rows = work.weight.rows, columns = work.weight.columns;
  std::vector<double> sums(static_cast<std::size_t>(ceil_divide(rows, kernels::kInt8Block)));
  parallel_for(rows, kernels::kInt8Block, [&](std::int64_t begin, std::int64_t end) {
    // Rows a power of two apart would share few places of the cache.
    Matrix buffer(end - begin, kColumnsAtOnce + kernels::kInt8Columns);
    double sum = 0.0;
    for (std::int64_t j = 0; j < columns; j += kColumnsAtOnce) {
      const std::int64_t count = std::min(kColumnsAtOnce, columns - j);
      const MatrixView<float> part = buffer.view().block(0, 0, end - begin, count);
      quant::dequantize_tile(q, part, begin, j);
      for (std::int64_t i = 0; i < part.rows; ++i) {
        sum += subtract_from(work.weight.row(begin + i) + j, part.row(i), count);
      }
      work.bytes->set(begin, j, part);
    }
    sums[static_cast<std::size_t>(begin / kernels::kInt8Block)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

void take_weight(Work& work) {
  const MatrixView<float> residual = work.residual.view();
  parallel_for(residual.rows, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::copy_n(work.weight.row(i), residual.columns, residual.row(i));
    }
  });
}

void subtract_product(Work& work, const Decomposition& found) {
  linalg::multiply(found.b.view(), linalg::Transpose::no, found.a.view(), linalg::Transpose::no,
                   work.residual.view(), static_cast<float>(-work.recipe.scale), 1.f);
}

void take_target(Work& work, const Decomposition& found) {
  if (work.bytes && work.coordinates.identity()) {
    subtract_in_bytes(work.weight, found.b.view(), found.a.view(), work.recipe.scale,
                      work.residual.view());
    return;
  }
  const MatrixView<float> residual = work.residual.view();
  parallel_for(residual.rows, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t rows = end - begin;
    for (std::int64_t i = begin; i < end; ++i) {
      std::copy_n(work.weight.row(i), residual.columns, residual.row(i));
    }
    linalg::multiply_serial(found.b.view().block(begin, 0, rows, found.b.columns()),
                            linalg::Transpose::no, found.a.view(), linalg::Transpose::no,
                            residual.block(begin, 0, rows, residual.columns),
                            static_cast<float>(-work.recipe.scale), 1.f);
  });
}

double enter_metric(Work& work, double squared_norm) {
  if (work.coordinates.identity()) return squared_norm;
  enter(work.coordinates, work.residual.view());
  return linalg::squared_norm(work.residual.view());
}

double take_weight_in_metric(Work& work) {
  if (work.root_bytes) {
    return enter_by_bytes(work.coordinates, *work.root_bytes, work.weight, work.residual.view());
  }
  take_weight(work);
  return enter_metric(work, work.weight_norm * work.weight_norm);
}

void record(const Work& work, double squared_norm, double squared_metric, Decomposition& result) {
  result.relative_error.push_back(std::sqrt(std::max(0.0, squared_norm)) / work.weight_norm);
  result.metric_error.push_back(std::sqrt(std::max(0.0, squared_metric)) / work.metric_norm);
}

}  // namespace qloft::decompose
