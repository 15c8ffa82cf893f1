#pragma once
// Statistics of every kind, and the norms of metrics from their definitions.

#include <cmath>
#include <vector>

#include "cases.h"

namespace qloft::decompose {

inline std::vector<float> factors(std::int64_t count, std::uint64_t seed) {
  const Matrix values = noise(1, count, seed);
  std::vector<float> out;
  for (const float value : values.values()) out.push_back(std::exp(value));
  return out;
}

inline Statistics all_statistics(std::int64_t rows, std::int64_t columns) {
  Statistics out = with_gram(correlated_gram(columns));
  out.fisher_rows = factors(rows, 21);
  out.fisher_columns = factors(columns, 22);
  return out;
}

// The metric written as weights of rows and a Gram matrix of columns, from its definition.
struct Weighed {
  std::vector<double> rows;
  Matrix gram;
};

inline Weighed weighed(Metric metric, const Statistics& s) {
  Weighed out{std::vector<double>(s.fisher_rows.size(), 1.0), s.gram};
  double energy = 0, columns = 0;
  for (std::int64_t j = 0; j < s.gram.rows(); ++j) {
    energy += s.gram(j, j);
    columns += std::pow(s.fisher_columns[static_cast<std::size_t>(j)], 2.0);
  }
  const auto n = static_cast<double>(s.gram.rows());
  if (metric == Metric::fisher || metric == Metric::fisher_gram) {
    for (std::size_t i = 0; i < out.rows.size(); ++i) {
      out.rows[i] =
          std::pow(s.fisher_rows[i], 2.0) / (metric == Metric::fisher ? columns / n : energy / n);
    }
  }
  if (metric == Metric::gram || metric == Metric::fisher_gram) return out;
  for (std::int64_t i = 0; i < s.gram.rows(); ++i) {
    for (std::int64_t j = 0; j < s.gram.columns(); ++j) {
      const auto fisher =
          static_cast<float>(std::pow(s.fisher_columns[static_cast<std::size_t>(j)], 2));
      const float diagonal = metric == Metric::frobenius ? 1.f
                             : metric == Metric::fisher  ? fisher
                                                         : s.gram(j, j);
      out.gram(i, j) = i == j ? diagonal : 0.f;
    }
  }
  return out;
}

inline double squared_error(const Matrix& e, const Weighed& metric) {
  double sum = 0;
  for (std::int64_t i = 0; i < e.rows(); ++i) {
    double row = 0;
    for (std::int64_t j = 0; j < e.columns(); ++j) {
      for (std::int64_t k = 0; k < e.columns(); ++k) {
        row += static_cast<double>(e(i, j)) * metric.gram(j, k) * e(i, k);
      }
    }
    sum += metric.rows[static_cast<std::size_t>(i)] * row;
  }
  return sum;
}

}  // namespace qloft::decompose
