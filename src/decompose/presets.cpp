#include <algorithm>
#include <array>
#include <string>

#include "qloft/core.h"
#include "qloft/core/text.h"
#include "qloft/decompose.h"

namespace qloft::decompose {
namespace {

struct MetricName {
  Metric metric;
  std::string_view name;
};
constexpr std::array kMetricNames = {
    MetricName{Metric::frobenius, "frobenius"},         MetricName{Metric::fisher, "fisher"},
    MetricName{Metric::gram_diagonal, "gram-diagonal"}, MetricName{Metric::gram, "gram"},
    MetricName{Metric::fisher_gram, "fisher-gram"},
};

// 8 bits in blocks of 256 (LQ-LoRA's usual second level).
constexpr quant::SecondLevel kUniformScales = {.code = quant::ScaleCode::uniform};
constexpr quant::Format kUniformCode = {.bits = 4,
                                        .codebook = quant::Codebook::uniform_asymmetric,
                                        .block = 64,
                                        .scale_rule = quant::ScaleRule::mse,
                                        .scale_type = ElementType::f16,
                                        .second_level = {}};

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> table = {
      // The default where nothing is known of the inputs: what measured best on real models.
      {.name = "auto",
       .summary = "what is best without data: the turns of LoftQ; with data: qloft",
       .quantizer = Quantizer::nearest,
       .metric = Metric::frobenius,
       .low_rank = LowRankSolver::truncated_svd,
       .loop = Loop::quantize_first,
       .format = {.bits = 4,
                  .codebook = quant::Codebook::nf,
                  .block = 64,
                  .second_level = quant::SecondLevel{}},
       .iterations = 5},
      {.name = "qlora",
       .summary = "NF4 with double quantization; A random, B zero (Dettmers et al. 2023)",
       .quantizer = Quantizer::nearest,
       .metric = Metric::frobenius,
       .low_rank = LowRankSolver::none,
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
       .low_rank = LowRankSolver::truncated_svd,
       .loop = Loop::quantize_first,
       .format = {.bits = 4, .codebook = quant::Codebook::nf, .block = 64, .second_level = {}},
       .iterations = 5},
      {.name = "lq-lora",
       .summary = "LoftQ's turns, low rank first, until the error rises (Guo et al. 2023)",
       .quantizer = Quantizer::nearest,
       .metric = Metric::frobenius,
       .low_rank = LowRankSolver::truncated_svd,
       .loop = Loop::low_rank_first,
       .format = {.bits = 4,
                  .codebook = quant::Codebook::nf,
                  .block = 64,
                  .second_level = kUniformScales},
       .iterations = 100},
      {.name = "gptq-lora",
       .summary = "error feedback through the Gram matrix (Frantar et al. 2022); B zero",
       .quantizer = Quantizer::gptq,
       .metric = Metric::gram,
       .low_rank = LowRankSolver::none,
       .loop = Loop::once,
       .format = kUniformCode,
       .iterations = 1},
      {.name = "cloq",
       .summary = "GPTQ, then the closed form under the Gram matrix (Deng et al. 2025)",
       .quantizer = Quantizer::gptq,
       .metric = Metric::gram,
       .low_rank = LowRankSolver::truncated_svd,
       .loop = Loop::once,
       .format = kUniformCode,
       .iterations = 1},
      {.name = "qera",
       .summary = "nearest codes, then the closed form under the Gram matrix (Zhang et al. 2025)",
       .quantizer = Quantizer::nearest,
       .metric = Metric::gram,
       .low_rank = LowRankSolver::truncated_svd,
       .loop = Loop::once,
       .format = {.bits = 4, .codebook = quant::Codebook::nf, .block = 64, .second_level = {}},
       .iterations = 1},
      {.name = "qera-approx",
       .summary = "the same under the Gram matrix's diagonal",
       .quantizer = Quantizer::nearest,
       .metric = Metric::gram_diagonal,
       .low_rank = LowRankSolver::truncated_svd,
       .loop = Loop::once,
       .format = {.bits = 4, .codebook = quant::Codebook::nf, .block = 64, .second_level = {}},
       .iterations = 1},
      {.name = "qloft",
       .summary = "what measured best: GPTQ with trellis codes and the closed form in turns",
       .quantizer = Quantizer::gptq,
       .metric = Metric::gram,
       .low_rank = LowRankSolver::truncated_svd,
       .loop = Loop::quantize_until_best,
       .format = {.bits = 4,
                  .codebook = quant::Codebook::trellis,
                  .block = 32,
                  .scale_rule = quant::ScaleRule::mse,
                  .second_level = quant::SecondLevel{.bits = 4,
                                                     .block = 256,
                                                     .type = ElementType::bf16,
                                                     .code = quant::ScaleCode::uniform}},
       .iterations = 10,
       .damping = 0.1,
       .adapter_weight = 0.1,
       .low_rank_start = 1.0},
  };
  return table;
}

const Preset& preset(std::string_view name) {
  const std::vector<Preset>& table = presets();
  const auto found = std::ranges::find(table, name, &Preset::name);
  if (found != table.end()) return *found;
  std::vector<std::string> names;
  std::string known;
  for (const Preset& row : table) {
    names.emplace_back(row.name);
    known += (known.empty() ? "" : ", ") + names.back();
  }
  throw InputError({{}, "method"}, "expected one of " + known + ", found \"" + std::string(name) +
                                       "\"" + suggestion(name, names));
}

const std::vector<Effort>& efforts() {
  static const std::vector<Effort> table = {
      {"lowest", quant::Codebook::trellis_short, 3},
      {"low", quant::Codebook::trellis_short, 10},
      {"medium", quant::Codebook::trellis_short, 20},
      {"high", quant::Codebook::trellis, 10},
  };
  return table;
}

Preset with_effort(Preset preset, std::string_view effort) {
  std::vector<std::string> names;
  for (const Effort& row : efforts()) names.emplace_back(row.name);
  const auto found = std::ranges::find(efforts(), effort, &Effort::name);
  if (found == efforts().end()) {
    throw InputError({{}, "effort"}, "expected lowest, low, medium or high, found \"" +
                                         std::string(effort) + "\"" + suggestion(effort, names));
  }
  if (preset.format.codebook != quant::Codebook::trellis) {
    throw InputError({{}, "effort"}, "expected none with the method " + std::string(preset.name) +
                                         ": it has no search that could be shorter");
  }
  preset.format.codebook = found->codebook;
  preset.iterations = found->iterations;
  return preset;
}

std::string_view name(Metric metric) {
  return std::ranges::find(kMetricNames, metric, &MetricName::metric)->name;
}

std::optional<Metric> metric_from_name(std::string_view name) {
  const auto found = std::ranges::find(kMetricNames, name, &MetricName::name);
  return found == kMetricNames.end() ? std::nullopt : std::optional(found->metric);
}

std::vector<std::string_view> metric_names() {
  std::vector<std::string_view> out;
  out.reserve(kMetricNames.size());
  for (const MetricName& row : kMetricNames) out.push_back(row.name);
  return out;
}

bool needs_gram(Metric metric) {
  return metric == Metric::gram_diagonal || metric == Metric::gram || metric == Metric::fisher_gram;
}

bool needs_fisher(Metric metric) {
  return metric == Metric::fisher || metric == Metric::fisher_gram;
}

Recipe recipe_from(const Preset& preset) {
  Recipe recipe;
  recipe.quantizer = preset.quantizer;
  recipe.metric = preset.metric;
  recipe.low_rank = preset.low_rank;
  recipe.loop = preset.loop;
  recipe.format = preset.format;
  recipe.iterations = preset.iterations;
  recipe.damping = preset.damping;
  recipe.adapter_weight = preset.adapter_weight;
  return recipe;
}

}  // namespace qloft::decompose
