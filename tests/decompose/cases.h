#pragma once
// Matrices and measurements for the tests of decompose.

#include <cmath>
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

inline Recipe loftq(int bits, std::int64_t rank, int iterations = 5) {
  Recipe recipe = recipe_from(preset("loftq"));
  recipe.format.bits = bits;
  recipe.rank = rank;
  recipe.iterations = iterations;
  return recipe;
}

}  // namespace qloft::decompose
