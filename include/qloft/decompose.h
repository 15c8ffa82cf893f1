#pragma once
// decompose: W ~ Q + s * B A, by a quantizer, a metric, a low-rank solver and a loop.
// A preset is a row of a table (docs/architecture.md), not a class.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/quant.h"

namespace qloft::decompose {

enum class Quantizer : std::uint8_t { nearest };
enum class Metric : std::uint8_t { frobenius };
// none: A random (Kaiming uniform, as PEFT draws it), B zero.
enum class LowRank : std::uint8_t { none, truncated_svd };
// once: quantize, then solve. quantize_first: LoftQ's alternation, `iterations` times.
enum class Loop : std::uint8_t { once, quantize_first };

struct Preset {
  std::string_view name;
  std::string_view summary;  // one line for --help
  Quantizer quantizer;
  Metric metric;
  LowRank low_rank;
  Loop loop;
  quant::Format format;  // what --bits and its companions change
  int iterations;
};

const std::vector<Preset>& presets();
// Throws InputError with the known names and the nearest one.
const Preset& preset(std::string_view name);

struct Recipe {
  Quantizer quantizer = Quantizer::nearest;
  Metric metric = Metric::frobenius;
  LowRank low_rank = LowRank::truncated_svd;
  Loop loop = Loop::quantize_first;
  quant::Format format;
  std::int64_t rank = 16;
  int iterations = 5;
  bool exact_svd = false;  // LAPACK's full SVD in place of the randomized one
  double scale = 1.0;      // s: the adapter's scale; the product s * B A is what the solver finds
  std::uint64_t seed = 0;
};

Recipe recipe_from(const Preset& preset);

struct Decomposition {
  quant::PackedMatrix q;
  Matrix a;                            // [rank, columns]
  Matrix b;                            // [rows, rank]
  std::vector<double> relative_error;  // ||W - Q - s B A|| / ||W|| after each iteration
  std::vector<double>
      svd_residual;  // for the randomized solver: measured ||R - U S V^T|| / ||R|| each iteration
  double final_error() const { return relative_error.back(); }
};

// The factors are split evenly: A = sqrt(S) V^T / sqrt(s), B = U sqrt(S) / sqrt(s) (LoftQ,
// algorithm 1, as PEFT's loftq_init does it). A zero matrix gives zero factors and error 0. Throws
// InputError naming `name` on a value that is not finite or a rank above min(rows, columns).
Decomposition decompose(MatrixView<const float> weight, const Recipe& recipe,
                        std::string_view name);

}  // namespace qloft::decompose
