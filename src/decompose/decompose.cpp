#include "qloft/decompose.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "parts.h"
#include "qloft/core.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

// Its stream of the seed, so that a matrix gets the same numbers whatever was done before it
// (FNV-1a).
std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

[[noreturn]] void refuse_not_finite(MatrixView<const float> weight, std::string_view name) {
  for (std::int64_t i = 0; i < weight.rows; ++i) {
    for (std::int64_t j = 0; j < weight.columns; ++j) {
      if (std::isfinite(weight(i, j))) continue;
      throw InputError({{}, std::string(name)},
                       "expected finite values, found " + std::to_string(weight(i, j)) +
                           " at row " + std::to_string(i) + ", column " + std::to_string(j));
    }
  }
  throw InputError({{}, std::string(name)}, "expected finite values");
}

void check(MatrixView<const float> weight, const Recipe& recipe, std::string_view name) {
  const auto refuse = [name](const std::string& text) {
    throw InputError({{}, std::string(name)}, text);
  };
  const std::int64_t most = std::min(weight.rows, weight.columns);
  if (most < 1) refuse("expected a matrix with elements, found an empty one");
  if (recipe.rank < 0 || recipe.rank > most) {
    refuse("expected a rank of 0 to " + std::to_string(most) + ", found " +
           std::to_string(recipe.rank));
  }
  if (!(recipe.scale > 0.0) || !std::isfinite(recipe.scale)) {
    refuse("expected a positive scale, found " + std::to_string(recipe.scale));
  }
  if (recipe.iterations < 0) {
    refuse("expected 0 or more iterations, found " + std::to_string(recipe.iterations));
  }
  recipe.format.validate();
}

}  // namespace

Decomposition decompose(MatrixView<const float> weight, const Recipe& wanted,
                        std::string_view name) {
  check(weight, wanted, name);
  Recipe recipe = wanted;
  if (recipe.rank == 0 || recipe.iterations == 0) recipe.low_rank = LowRank::none;
  if (recipe.low_rank == LowRank::none) recipe.loop = Loop::once;

  const double norm = linalg::frobenius_norm(weight);
  if (!std::isfinite(norm)) refuse_not_finite(weight, name);
  Decomposition result;
  result.a = Matrix(recipe.rank, weight.columns);
  result.b = Matrix(weight.rows, recipe.rank);
  Work work{.weight = weight,
            .recipe = recipe,
            .weight_norm = norm > 0.0 ? norm : 1.0,
            .random = Random(recipe.seed, stream_of(name)),
            .residual = Matrix(weight.rows, weight.columns),
            .basis = {}};
  loop_of(recipe)(parts_of(recipe), work, result);
  if (recipe.low_rank == LowRank::none) result.svd_residual.clear();
  return result;
}

}  // namespace qloft::decompose
