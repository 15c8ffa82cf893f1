#include "qloft/decompose/matrix_errors.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/core/threads.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

constexpr std::int64_t kTail = 1000;  // one of so many weights is of the largest

double ratio(double a, double b) {
  return b > 0 ? a / b : 0;
}

struct Norms {
  std::vector<double> rows, columns;  // squared
  double total = 0;
};

Norms norms_of(MatrixView<const float> a) {
  Norms out{std::vector<double>(static_cast<std::size_t>(a.rows)),
            std::vector<double>(static_cast<std::size_t>(a.columns)), 0};
  for (std::int64_t i = 0; i < a.rows; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < a.columns; ++j) {
      const double square = static_cast<double>(a(i, j)) * a(i, j);
      sum += square;
      out.columns[static_cast<std::size_t>(j)] += square;
    }
    out.rows[static_cast<std::size_t>(i)] = sum;
    out.total += sum;
  }
  return out;
}

double worst(const std::vector<double>& errors, const std::vector<double>& weights) {
  double most = 0;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    most = std::max(most, ratio(errors[i], weights[i]));
  }
  return std::sqrt(most);
}

double tail_error(MatrixView<const float> weight, MatrixView<const float> error) {
  std::vector<float> sizes;
  sizes.reserve(static_cast<std::size_t>(weight.size()));
  for (std::int64_t i = 0; i < weight.rows; ++i) {
    for (std::int64_t j = 0; j < weight.columns; ++j) sizes.push_back(std::abs(weight(i, j)));
  }
  const auto least = sizes.end() - std::max<std::int64_t>(1, std::ssize(sizes) / kTail);
  std::nth_element(sizes.begin(), least, sizes.end());
  const float bound = *least;
  double errors = 0, weights = 0;
  for (std::int64_t i = 0; i < weight.rows; ++i) {
    for (std::int64_t j = 0; j < weight.columns; ++j) {
      if (std::abs(weight(i, j)) < bound) continue;
      errors += static_cast<double>(error(i, j)) * error(i, j);
      weights += static_cast<double>(weight(i, j)) * weight(i, j);
    }
  }
  return std::sqrt(ratio(errors, weights));
}

float largest(MatrixView<const float> a) {
  float most = 0;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) most = std::max(most, std::abs(a(i, j)));
  }
  return most;
}

// The diagonal of a H a^T.
std::vector<double> outputs_of(MatrixView<const float> a, const Matrix& gram) {
  Matrix product(a.rows, a.columns);
  linalg::multiply(a, linalg::Transpose::no, gram.view(), linalg::Transpose::no, product.view());
  std::vector<double> out(static_cast<std::size_t>(a.rows));
  parallel_for(a.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < a.columns; ++j) {
        sum += static_cast<double>(product(i, j)) * a(i, j);
      }
      out[static_cast<std::size_t>(i)] = std::max(0.0, sum);  // a rounded 0
    }
  });
  return out;
}

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

double weighted(const std::vector<double>& values, const std::vector<float>& roots) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += static_cast<double>(roots[i]) * roots[i] * values[i];
  }
  return sum;
}

void add_gram_errors(MatrixView<const float> weight, MatrixView<const float> error,
                     const Norms& norms, const Statistics& statistics, MatrixErrors& out) {
  const Matrix& gram = statistics.gram;
  const std::vector<double> errors = outputs_of(error, gram), own = outputs_of(weight, gram);
  out.gram_squared = sum_of(errors);
  out.gram = std::sqrt(ratio(*out.gram_squared, sum_of(own)));
  double trace = 0, peak = 0, sum = 0, most = 0;
  for (std::int64_t j = 0; j < gram.columns(); ++j) {
    const double of_column = gram(j, j) * norms.columns[static_cast<std::size_t>(j)];
    trace += gram(j, j);
    peak = std::max<double>(peak, gram(j, j));
    sum += of_column;
    if (j > 0 && of_column <= most) continue;
    most = of_column;
    out.top_input = j;
  }
  const auto columns = static_cast<double>(gram.columns());
  out.input_peak = ratio(peak * columns, trace);
  out.top_share = ratio(most, sum);
  if (statistics.fisher_rows.empty()) return;
  out.fisher_gram_squared = weighted(errors, statistics.fisher_rows);
  out.fisher_gram =
      std::sqrt(ratio(*out.fisher_gram_squared, weighted(own, statistics.fisher_rows)));
  out.loss_by_prediction = ratio(columns * *out.fisher_gram_squared, 2 * trace);
}

}  // namespace

MatrixErrors matrix_errors(MatrixView<const float> weight, MatrixView<const float> approximation,
                           const Statistics& statistics, std::string_view name) {
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) {
      throw InputError({{}, std::string(name)}, std::string("expected ") + what +
                                                    " for a matrix of shape " +
                                                    shape_text({weight.rows, weight.columns}));
    }
  };
  expect(approximation.rows == weight.rows && approximation.columns == weight.columns &&
             weight.size() > 0,
         "an approximation");
  const Matrix& gram = statistics.gram;
  expect(gram.empty() || (gram.rows() == weight.columns && gram.columns() == weight.columns),
         "a Gram matrix");
  expect(statistics.fisher_rows.empty() || std::ssize(statistics.fisher_rows) == weight.rows,
         "Fisher factors");
  Matrix error(weight.rows, weight.columns);
  for (std::int64_t i = 0; i < weight.rows; ++i) {
    for (std::int64_t j = 0; j < weight.columns; ++j) {
      error(i, j) = weight(i, j) - approximation(i, j);
    }
  }
  const Norms errors = norms_of(error.view()), own = norms_of(weight);
  MatrixErrors out;
  out.squared = errors.total;
  out.relative = std::sqrt(ratio(errors.total, own.total));
  out.worst_output = worst(errors.rows, own.rows);
  out.worst_input = worst(errors.columns, own.columns);
  out.tail = tail_error(weight, error.view());
  out.weight_peak =
      ratio(largest(weight), std::sqrt(own.total / static_cast<double>(weight.size())));
  if (!gram.empty()) add_gram_errors(weight, error.view(), errors, statistics, out);
  return out;
}

}  // namespace qloft::decompose
