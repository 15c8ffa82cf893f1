#include "qloft/decompose.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "input_shift.h"
#include "qloft/core.h"
#include "qloft/core/hash.h"
#include "qloft/linalg.h"
#include "qloft/quant/scales.h"
#include "residual.h"
#include "round_factors.h"

namespace qloft::decompose {
namespace {

// Its stream of the seed, so that a matrix gets the same numbers whatever was done before it.
std::uint64_t stream_of(std::string_view name) {
  Fnv1a hash;
  hash.add(name);
  return hash.value();
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

bool feeds_back(Metric metric) {
  return metric == Metric::gram || metric == Metric::fisher_gram;
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
  if (!(recipe.damping >= 0.0) || !std::isfinite(recipe.damping)) {
    refuse("expected a damping from 0, found " + std::to_string(recipe.damping));
  }
  if (!(recipe.adapter_weight > 0.0) || recipe.adapter_weight > 1.0) {
    refuse("expected an adapter weight above 0 and up to 1, found " +
           std::to_string(recipe.adapter_weight));
  }
  if (!(recipe.low_rank_start >= 0.0) || recipe.low_rank_start > 1.0) {
    refuse("expected a low-rank start from 0 up to 1, found " +
           std::to_string(recipe.low_rank_start));
  }
  if (recipe.quantizer == Quantizer::gptq && !feeds_back(recipe.metric)) {
    refuse("gptq needs a metric with a Gram matrix (gram or fisher-gram), found " +
           std::string(decompose::name(recipe.metric)));
  }
  recipe.format.validate();
}

// The weight's norm in the metric.
double metric_norm(const Coordinates& coordinates, MatrixView<const float> weight, double norm) {
  if (coordinates.identity()) return norm;
  constexpr std::int64_t kPart = 256;
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < weight.rows; begin += kPart) {
    const std::int64_t count = std::min(kPart, weight.rows - begin);
    Matrix part(count, weight.columns);
    for (std::int64_t i = 0; i < count; ++i) {
      std::copy_n(weight.row(begin + i), weight.columns, part.view().row(i));
    }
    enter(coordinates, part.view(), begin);
    sum += linalg::squared_norm(part.view());
  }
  return std::sqrt(sum);
}

Work begin_work(MatrixView<const float> weight, const Recipe& recipe, const Statistics& statistics,
                std::string_view name) {
  double norm = linalg::frobenius_norm(weight);
  if (!std::isfinite(norm)) refuse_not_finite(weight, name);
  Work work{.weight = weight,
            .shifted = {},
            .recipe = recipe,
            .coordinates = metric_of(recipe)({.rows = weight.rows,
                                              .columns = weight.columns,
                                              .statistics = statistics,
                                              .damping = recipe.damping,
                                              .name = name}),
            .weight_norm = 1.0,
            .metric_norm = 1.0,
            .random = Random(recipe.seed, stream_of(name)),
            .residual = Matrix(weight.rows, weight.columns),
            .bytes = {},
            .basis = {},
            .taken = {},
            .root_bytes = {},
            .image = {},
            .pieces = {}};
  if (!statistics.shift.empty()) {
    work.shifted = for_shifted_inputs(weight, statistics, work.coordinates, name);
    work.weight = work.shifted.view();
    norm = linalg::frobenius_norm(work.weight);
  }
  if (norm > 0.0) work.weight_norm = norm;
  if (recipe.quantizer == Quantizer::gptq && multiplies_in_bytes(work)) {
    work.root_bytes.emplace(work.coordinates.root.view());
  }
  if (norm > 0.0) {
    work.metric_norm =
        work.root_bytes ? std::sqrt(enter_by_bytes(work.coordinates, *work.root_bytes, work.weight))
                        : metric_norm(work.coordinates, work.weight, norm);
  }
  return work;
}

}  // namespace

Decomposition decompose(MatrixView<const float> weight, const Recipe& wanted,
                        const Statistics& statistics, std::string_view name) {
  check(weight, wanted, name);
  Recipe recipe = wanted;
  if (recipe.rank == 0 || recipe.iterations == 0) recipe.low_rank = LowRankSolver::none;
  if (recipe.low_rank == LowRankSolver::none) recipe.loop = Loop::once;

  Work work = begin_work(weight, recipe, statistics, name);
  Decomposition result;
  result.a = Matrix(recipe.rank, weight.columns);
  result.b = Matrix(weight.rows, recipe.rank);
  result.damping = work.coordinates.damping;
  loop_of(recipe)(steps_of(recipe), work, result);
  if (recipe.low_rank == LowRankSolver::none) {
    result.svd_residual.clear();
  } else if (recipe.factor_type != ElementType::f32) {
    round_factors(work, result);
  }
  return result;
}

Decomposition decompose(MatrixView<const float> weight, const Recipe& recipe,
                        std::string_view name) {
  return decompose(weight, recipe, Statistics{}, name);
}

std::vector<double> format_errors(MatrixView<const float> weight, const Recipe& wanted,
                                  std::span<const quant::Format> formats,
                                  const Statistics& statistics, std::string_view name) {
  check(weight, wanted, name);
  Recipe recipe = wanted;
  recipe.quantizer = Quantizer::nearest;
  Work work = begin_work(weight, recipe, statistics, name);
  Decomposition found;
  found.a = Matrix(recipe.rank, weight.columns);
  found.b = Matrix(weight.rows, recipe.rank);
  if (recipe.rank > 0) {
    solve_truncated_svd(work, take_weight_in_metric(work), found);
  }
  take_weight(work);
  subtract_product(work, found);
  const Matrix target = work.residual;
  work.weight = target.view();  // what is to be quantized now
  for (const quant::Format& format : formats) format.validate();
  std::vector<double> errors(formats.size());
  std::vector<bool> done(formats.size());
  for (std::size_t first = 0; first < formats.size(); ++first) {
    if (done[first]) continue;
    const quant::BlockScales scales = quant::find_scales(target.view(), formats[first]);
    for (std::size_t f = first; f < formats.size(); ++f) {
      if (done[f] || !quant::share_scales(formats[first], formats[f])) continue;
      const auto q = quant::quantize(target.view(), formats[f], scales);
      errors[f] = enter_metric(work, take_residual(q, work));
      done[f] = true;
    }
  }
  return errors;
}

std::vector<double> format_errors(MatrixView<const float> weight, const Recipe& wanted,
                                  std::span<const quant::Format> formats,
                                  std::span<const std::int64_t> ranks, const Statistics& statistics,
                                  std::string_view name) {
  Recipe recipe = wanted;  // which `work` refers to: its rank is that at hand
  recipe.quantizer = Quantizer::nearest;
  for (const std::int64_t rank : ranks) {
    recipe.rank = rank;
    check(weight, recipe, name);
  }
  for (const quant::Format& format : formats) format.validate();
  if (ranks.empty()) return {};
  recipe.rank = std::ranges::max(ranks);
  Work work = begin_work(weight, recipe, statistics, name);
  const auto factors = [&](std::int64_t rank) {
    Decomposition out;
    out.a = Matrix(rank, weight.columns);
    out.b = Matrix(weight.rows, rank);
    return out;
  };
  // The squared norm that the best factors of recipe.rank leave of work.residual.
  const auto solve = [&](double squared_norm, Decomposition& result) {
    return recipe.rank > 0 ? solve_truncated_svd(work, squared_norm, result) : squared_norm;
  };
  Decomposition largest = factors(recipe.rank);
  solve(take_weight_in_metric(work), largest);

  std::vector<double> errors(formats.size() * ranks.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    recipe.rank = ranks[r];
    work.basis = Matrix();  // of another width
    Decomposition part = factors(recipe.rank);
    for (std::int64_t k = 0; k < recipe.rank; ++k) {
      std::copy_n(largest.a.view().row(k), weight.columns, part.a.view().row(k));
      for (std::int64_t i = 0; i < weight.rows; ++i) part.b(i, k) = largest.b(i, k);
    }
    take_weight(work);
    subtract_product(work, part);
    const Matrix target = work.residual;
    for (std::size_t f = 0; f < formats.size(); ++f) {
      const auto q = quant::quantize(target.view(), formats[f]);
      errors[f * ranks.size() + r] = solve(enter_metric(work, take_residual(q, work)), part);
    }
  }
  return errors;
}

}  // namespace qloft::decompose
