#include <algorithm>
#include <numeric>
#include <string>

#include "qloft/core.h"
#include "qloft/decompose.h"

namespace qloft::decompose {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> table = {
      {.name = "qlora",
       .summary = "NF4 with double quantization; A random, B zero (Dettmers et al. 2023)",
       .quantizer = Quantizer::nearest,
       .metric = Metric::frobenius,
       .low_rank = LowRank::none,
       .loop = Loop::once,
       .format = {.bits = 4,
                  .codebook = quant::Codebook::nf,
                  .block = 64,
                  .second_level = quant::SecondLevel{}},
       .iterations = 1},
      {.name = "loftq",
       .summary = "quantize and take the SVD of what is left, in turns (Li et al. 2023)",
       .quantizer = Quantizer::nearest,
       .metric = Metric::frobenius,
       .low_rank = LowRank::truncated_svd,
       .loop = Loop::quantize_first,
       .format = {.bits = 4, .codebook = quant::Codebook::nf, .block = 64, .second_level = {}},
       .iterations = 5},
  };
  return table;
}

const Preset& preset(std::string_view name) {
  const std::vector<Preset>& table = presets();
  const auto found = std::ranges::find(table, name, &Preset::name);
  if (found != table.end()) return *found;
  std::string known;
  for (const Preset& row : table) {
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  const auto nearest = std::ranges::min_element(
      table, {}, [name](const Preset& row) { return edit_distance(name, row.name); });
  throw InputError({{}, "method"}, "expected one of " + known + ", found \"" + std::string(name) +
                                       "\"; did you mean " + std::string(nearest->name) + "?");
}

Recipe recipe_from(const Preset& preset) {
  Recipe recipe;
  recipe.quantizer = preset.quantizer;
  recipe.metric = preset.metric;
  recipe.low_rank = preset.low_rank;
  recipe.loop = preset.loop;
  recipe.format = preset.format;
  recipe.iterations = preset.iterations;
  return recipe;
}

}  // namespace qloft::decompose
