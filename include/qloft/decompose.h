#pragma once
// decompose: W ~ Q + s * B A, by a quantizer, a metric, a low-rank solver and a loop.
// A preset is a row of a table (docs/architecture.md), not a class.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "qloft/core/element.h"
#include "qloft/core/matrix.h"
#include "qloft/quant.h"

namespace qloft::decompose {

// nearest: the nearest code of every weight. gptq: column by column, the error of those before fed
// back into those to come (Frantar et al. 2022); needs a metric with a Gram matrix.
enum class Quantizer : std::uint8_t { nearest, gptq };

// Which errors E = W - Q - s B A matter, as a norm whose square is
//   frobenius      sum of E_ij^2
//   fisher         sum of r_i^2 E_ij^2 c_j^2 with the Fisher information's row and column factors
//                  (LQ-LoRA, Guo et al. 2023, section 3.3)
//   gram_diagonal  sum of E_ij^2 H_jj with the Gram matrix H of the inputs (QERA's approximation,
//                  Zhang et al. 2025, theorem 2)
//   gram           tr(E H E^T), the error of the outputs (GPTQ; CLoQ, Deng et al. 2025; QERA)
//   fisher_gram    tr(D E H E^T D) with D = diag(r): the error of the outputs, each weighted by
//   what
//                  the loss makes of it
enum class Metric : std::uint8_t { frobenius, fisher, gram_diagonal, gram, fisher_gram };

// none: A random (Kaiming uniform, as PEFT draws it), B zero. truncated_svd: the best s B A of the
// rank under the metric, from the SVD of W - Q in coordinates whose Frobenius norm is the metric.
enum class LowRankSolver : std::uint8_t { none, truncated_svd };

// once: quantize, then solve. quantize_first: LoftQ's alternation, `iterations` times.
// low_rank_first: LQ-LoRA's, which solves before it quantizes, stops when the error in the metric
// rises and keeps the best. quantize_until_best: as quantize_first, stops when the error has not
// fallen four times running, and keeps the best.
enum class Loop : std::uint8_t { once, quantize_first, low_rank_first, quantize_until_best };

// The names at the prompt and in files: "gram-diagonal". Empty if unknown.
std::string_view name(Metric metric);
std::optional<Metric> metric_from_name(std::string_view name);
std::vector<std::string_view> metric_names();

// What is known of one matrix [rows, columns] beside its values; empty where it was not collected.
struct Statistics {
  Matrix gram;  // H = mean of x x^T over the inputs x: [columns, columns]
  // Where the Gram matrix is of the inputs x that layers before this one give which are quantized:
  // the mean of (y - x) x^T with the inputs y that the full model's give, [columns, columns]. What
  // is decomposed is then no longer W but W + W D (H + damping)^-1, D this: what makes of x the
  // nearest to what W makes of y (GPTAQ, Li et al. 2025, arXiv:2504.02692; QEP, Arai & Ichikawa
  // 2025, arXiv:2504.09629). Errors are told of that.
  Matrix shift = {};
  std::vector<float> fisher_rows;     // square roots of the row means of the Fisher diagonal
  std::vector<float> fisher_columns;  // ... and of its column means
};
// Which of them a metric needs.
bool needs_gram(Metric metric);
bool needs_fisher(Metric metric);

struct Preset {
  std::string_view name;
  std::string_view summary;  // one line for --help
  Quantizer quantizer;
  Metric metric;
  LowRankSolver low_rank;
  Loop loop;
  quant::Format format;  // what --bits and its companions change
  int iterations;
  double damping = 0.01;        // of Gram matrices
  double adapter_weight = 1.0;  // as in Recipe
  // As in Recipe, for inputs behind quantized matrices (Statistics::shift); recipe_from leaves 0.
  double low_rank_start = 0.0;
};

const std::vector<Preset>& presets();
// Throws InputError with the known names and the nearest one.
const Preset& preset(std::string_view name);

// How much time the search of trellis codes may take: a code book, and turns of the loop. What each
// gains is measured in docs/methods/trellis.md.
struct Effort {
  std::string_view name;
  quant::Codebook codebook;
  int iterations;
};
// lowest, low, medium, high: the last is what the preset qloft has of itself.
const std::vector<Effort>& efforts();
// The preset with that effort. Throws InputError naming the field `effort` for a name that is not
// known, and for a preset without trellis codes.
Preset with_effort(Preset preset, std::string_view effort);

struct Recipe {
  Quantizer quantizer = Quantizer::nearest;
  Metric metric = Metric::frobenius;
  LowRankSolver low_rank = LowRankSolver::truncated_svd;
  Loop loop = Loop::quantize_first;
  quant::Format format;
  std::int64_t rank = 16;  // 0: no low-rank part, empty factors
  int iterations = 5;      // of an alternation; 0: as low_rank none, LoftQ's T = 0
  bool exact_svd = false;  // LAPACK's full SVD in place of the randomized one
  double scale = 1.0;      // s: the adapter's scale; the product s * B A is what the solver finds
  std::uint64_t seed = 0;  // every matrix draws a stream of its own, by its name
  // What is added to the diagonal of a Gram matrix, in parts of its mean (GPTQ's percdamp); ten
  // times more, again and again, while the matrix is still singular.
  double damping = 0.01;
  // Of quantize_until_best, in turns that quantize W less an s B A: the weight that GPTQ gives to
  // errors in the row space of A, which the solver will undo, 0 < weight <= 1 (1: as all others).
  double adapter_weight = 1.0;
  // Of the loops that quantize first: the part of W's best low-rank approximation in the metric
  // that they begin with as s B A, 0 (LoftQ) to 1 (as LQ-LoRA begins).
  double low_rank_start = 0.0;
  // What solved factors are rounded to at the end, with regard to the metric: f32 (as they are),
  // bf16, f16 or f8.
  ElementType factor_type = ElementType::f32;
};

Recipe recipe_from(const Preset& preset);

struct Decomposition {
  quant::PackedMatrix q;
  Matrix a;  // [rank, columns]
  Matrix b;  // [rows, rank]
  // By iteration; under the loops that keep the best, iterations that were worse have no entry.
  std::vector<double> relative_error;  // ||W - Q - s B A|| / ||W|| (Frobenius) by iteration
  std::vector<double> metric_error;    // the same in the metric
  // ||R - s B A|| / ||R|| in the metric with R = W - Q, of each iteration that solved for B A last.
  std::vector<double> svd_residual;
  double damping = 0.0;  // of the Gram matrix, in parts of its diagonal's mean; 0: none was needed
  double final_error() const { return relative_error.back(); }
  double final_metric_error() const { return metric_error.back(); }
};

// The factors are split evenly: column k of B is as long as row k of A (for Frobenius this is
// A = sqrt(S) V^T / sqrt(s), B = U sqrt(S) / sqrt(s): LoftQ, algorithm 1, as PEFT's loftq_init does
// it). A zero matrix gives zero factors (but a random A where the recipe wants one) and error 0.
// The alternation ends early where Q alone is exact.
//
// Throws InputError naming `name` on a value that is not finite, a rank above min(rows, columns), a
// scale that is not positive, a negative number of iterations, and statistics that the metric needs
// and that are missing, of another shape, not finite or zero throughout, and a shift under a metric
// without a Gram matrix.
//
// On all threads; but for exact_svd the result does not depend on their number. Beside `weight` it
// holds one f32 matrix of its size, the packed matrix, and about 9 * (rows + columns) * (rank + 8)
// floats; LoftQ's turns on AVX-512 also 2.2 bytes a weight; a metric with a Gram matrix holds a
// factor of its size; gptq a second matrix of the weight's, and for each thread 7 bytes an element
// of 256 rows, where both sides are above 512 also 2.2 bytes a weight and half a byte an element of
// the Gram matrix; exact_svd holds about nine times the weight.
Decomposition decompose(MatrixView<const float> weight, const Recipe& recipe,
                        const Statistics& statistics, std::string_view name);
// Without statistics: for the Frobenius norm.
Decomposition decompose(MatrixView<const float> weight, const Recipe& recipe,
                        std::string_view name);

// Rounds the factors of a product B A, a [rank, n] and b [m, rank], to `type` (bf16, f16 or f8):
// what Recipe::factor_type does, for factors that were found elsewhere. Errors E of B A count tr(E
// H E^T) with the Gram matrix of `statistics`, where they have one, and `damping` as in Recipe;
// else as the Frobenius norm does. Throws InputError naming `name` for factors that have no
// product, and for what is no Gram matrix of such inputs.
void round_factors(Matrix& a, Matrix& b, ElementType type, const Statistics& statistics,
                   double damping, std::string_view name);

// For each format the squared error in recipe.metric that nearest codes of W - s B A leave, s B A
// being the best of recipe.rank under the metric (LQ-LoRA's first step). Throws as decompose.
std::vector<double> format_errors(MatrixView<const float> weight, const Recipe& recipe,
                                  std::span<const quant::Format> formats,
                                  const Statistics& statistics, std::string_view name);

// For each format and each of the ranks (those of a format together) the squared error in
// recipe.metric where both parts are chosen for each other once: Q the nearest codes of W - s B A,
// s B A being the best of this rank, then the best of this rank for W - Q in its place. What a rank
// is worth beside these codes shows in the latter alone. Throws as decompose, for each rank.
std::vector<double> format_errors(MatrixView<const float> weight, const Recipe& recipe,
                                  std::span<const quant::Format> formats,
                                  std::span<const std::int64_t> ranks, const Statistics& statistics,
                                  std::string_view name);

}  // namespace qloft::decompose
