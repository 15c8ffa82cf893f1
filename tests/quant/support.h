#pragma once
// What the quant tests share: data by shape, and one ruler for errors.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "qloft/core/random.h"
#include "qloft/quant.h"

namespace qloft::quant {

inline Matrix normal(std::int64_t rows, std::int64_t columns, std::uint64_t seed = 7) {
  Matrix w(rows, columns);
  Random(seed).fill_normal(w.values());
  return w;
}

inline Matrix dequantized(const PackedMatrix& packed) {
  Matrix q(packed.rows(), packed.columns());
  dequantize(packed, q.view());
  return q;
}

inline Format format(int bits, Codebook codebook, ScaleRule rule = ScaleRule::absmax,
                     std::int64_t block = 64) {
  Format f;
  f.bits = bits;
  f.codebook = codebook;
  f.scale_rule = rule;
  f.block = block;
  return f;
}

// Every code book at every width it has.
inline std::vector<Format> all_formats() {
  std::vector<Format> out;
  for (int bits = 1; bits <= 8; ++bits) {
    if (bits >= 2) out.push_back(format(bits, Codebook::nf));
    out.push_back(format(bits, Codebook::uniform));
    out.push_back(format(bits, Codebook::uniform_asymmetric));
    out.push_back(format(bits, Codebook::lloyd));
  }
  out.push_back(format(1, Codebook::binary));
  out.push_back(format(2, Codebook::ternary));
  for (int bits = 1; bits <= 4; ++bits) {
    out.push_back(format(bits, Codebook::residual_binary));
    out.push_back(format(bits, Codebook::trellis, ScaleRule::mse));
    out.push_back(format(bits, Codebook::trellis_short, ScaleRule::mse));
  }
  return out;
}

inline bool takes(Codebook codebook, ScaleRule rule) {
  const bool trellis = codebook == Codebook::trellis || codebook == Codebook::trellis_short;
  return !trellis || rule == ScaleRule::mse;
}

// ||W - Q|| / ||W||.
inline double relative_error(const Matrix& w, const Matrix& q) {
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < w.values().size(); ++i) {
    error += std::pow(static_cast<double>(w.values()[i]) - q.values()[i], 2);
    norm += std::pow(static_cast<double>(w.values()[i]), 2);
  }
  return norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
}
inline double relative_error(const Matrix& w, const Format& f) {
  return relative_error(w, dequantized(quantize(w.view(), f)));
}

}  // namespace qloft::quant
