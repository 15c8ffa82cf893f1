#pragma once
// Matrices and measurements for the tests of decompose.

#include <cmath>
#include <utility>
#include <vector>

#include "qloft/core.h"
#include "qloft/decompose.h"
#include "qloft/linalg.h"

namespace qloft::decompose {

inline Matrix noise(std::int64_t rows, std::int64_t columns, std::uint64_t seed = 7) {
  Matrix a(rows, columns);
  Random(seed).fill_normal(a.values());
  return a;
}

// Singular values that fall from 1 to 1/100, a few large ones above noise: like a trained matrix.
inline Matrix decaying(std::int64_t rows, std::int64_t columns) {
  linalg::Svd parts = linalg::svd(noise(rows, columns).view());
  for (std::size_t i = 0; i < parts.s.size(); ++i) {
    const float s = std::pow(0.01f, static_cast<float>(i) / static_cast<float>(parts.s.size()));
    for (std::int64_t j = 0; j < rows; ++j) parts.u(j, static_cast<std::int64_t>(i)) *= s;
  }
  Matrix a(rows, columns);
  linalg::multiply(parts.u.view(), linalg::Transpose::no, parts.v.view(), linalg::Transpose::yes,
                   a.view());
  return a;
}

inline Matrix dequantized(const quant::PackedMatrix& q) {
  Matrix a(q.rows(), q.columns());
  quant::dequantize(q, a.view());
  return a;
}

// ||W - Q - s B A|| / ||W||, multiplied out.
inline double measured_error(const Matrix& weight, const Decomposition& found, double scale) {
  Matrix rest = dequantized(found.q);
  linalg::multiply(found.b.view(), linalg::Transpose::no, found.a.view(), linalg::Transpose::no,
                   rest.view(), static_cast<float>(scale), 1.f);
  for (std::int64_t i = 0; i < rest.size(); ++i) rest.data()[i] -= weight.data()[i];
  return linalg::frobenius_norm(rest.view()) / linalg::frobenius_norm(weight.view());
}

// The Gram matrix of `samples` inputs whose features lean on each other and differ in size.
inline Matrix correlated_gram(std::int64_t features, std::int64_t samples = 400) {
  Matrix mix = noise(features, features, 11);
  for (std::int64_t i = 0; i < features; ++i) {
    for (std::int64_t j = 0; j < features; ++j) {
      mix(i, j) *= 0.2f * std::exp(-0.05f * static_cast<float>(i));
    }
    mix(i, i) += 1.f;
  }
  Matrix x(samples, features);
  linalg::multiply(noise(samples, features, 12).view(), linalg::Transpose::no, mix.view(),
                   linalg::Transpose::no, x.view());
  Matrix gram(features, features);
  linalg::multiply(x.view(), linalg::Transpose::yes, x.view(), linalg::Transpose::no, gram.view(),
                   1.f / static_cast<float>(samples));
  return gram;
}

inline Statistics with_gram(Matrix gram) {
  Statistics statistics;
  statistics.gram = std::move(gram);
  return statistics;
}

// tr(E H E^T).
inline double output_error(const Matrix& e, const Matrix& gram) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < e.rows(); ++i) {
    for (std::int64_t j = 0; j < e.columns(); ++j) {
      for (std::int64_t k = 0; k < e.columns(); ++k) sum += e(i, j) * gram(j, k) * e(i, k);
    }
  }
  return sum;
}

inline Matrix difference(const Matrix& a, const Matrix& b) {
  Matrix out(a.rows(), a.columns());
  for (std::int64_t i = 0; i < a.size(); ++i) out.data()[i] = a.data()[i] - b.data()[i];
  return out;
}

// W - Q - s B A.
inline Matrix what_is_left(const Matrix& weight, const Decomposition& found, double scale = 1.0) {
  Matrix rest = dequantized(found.q);
  linalg::multiply(found.b.view(), linalg::Transpose::no, found.a.view(), linalg::Transpose::no,
                   rest.view(), static_cast<float>(scale), 1.f);
  return difference(weight, rest);
}

inline Recipe loftq(int bits, std::int64_t rank, int iterations = 5) {
  Recipe recipe = recipe_from(preset("loftq"));
  recipe.format.bits = bits;
  recipe.rank = rank;
  recipe.iterations = iterations;
  return recipe;
}

}  // namespace qloft::decompose
