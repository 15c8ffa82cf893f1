#pragma once
// decompose: W ~ Q + s * B A, by a quantizer, a metric, a low-rank solver and a loop.
// A preset is a row of a table (docs/architecture.md), not a class.

#include <cstdint>
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
  std::int64_t rank = 16;  // 0: no low-rank part, empty factors
  int iterations = 5;      // of quantize_first; 0: as low_rank none, LoftQ's T = 0
  bool exact_svd = false;  // LAPACK's full SVD in place of the randomized one
  double scale = 1.0;      // s: the adapter's scale; the product s * B A is what the solver finds
  std::uint64_t seed = 0;  // every matrix draws a stream of its own, by its name
};

Recipe recipe_from(const Preset& preset);

struct Decomposition {
  quant::PackedMatrix q;
  Matrix a;                            // [rank, columns]
  Matrix b;                            // [rows, rank]
  std::vector<double> relative_error;  // ||W - Q - s B A|| / ||W|| after each iteration
  // ||R - s B A|| / ||R|| with R = W - Q, after each iteration that solved for B A.
  std::vector<double> svd_residual;
  double final_error() const { return relative_error.back(); }
};

// The factors are split evenly: A = sqrt(S) V^T / sqrt(s), B = U sqrt(S) / sqrt(s) (LoftQ,
// algorithm 1, as PEFT's loftq_init does it). A zero matrix gives zero factors (but a random A
// where the recipe wants one) and error 0. The alternation ends early where Q alone is exact.
// Throws InputError naming `name` on a value that is not finite, a rank above min(rows, columns), a
// scale that is not positive or a negative number of iterations.
//
// On all threads; but for exact_svd the result does not depend on their number. Beside `weight` it
// holds one f32 matrix of its size, the packed matrix, and about 9 * (rows + columns) * (rank + 8)
// floats; exact_svd holds about nine times the weight.
Decomposition decompose(MatrixView<const float> weight, const Recipe& recipe,
                        std::string_view name);

}  // namespace qloft::decompose
