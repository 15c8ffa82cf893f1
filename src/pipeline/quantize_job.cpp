#include "quantize_job.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "adapter_storage.h"
#include "matrix_statistics.h"
#include "names.h"
#include "option_values.h"
#include "plan_file.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/resume.h"
#include "qloft/quantized.h"

namespace qloft::pipeline {
namespace {

void set_second_level(const QuantizeOptions& o, quant::Format& format) {
  const bool wanted = o.second_bits || o.second_block || o.second_type || o.second_code;
  if (!wanted) return;
  if (!format.second_level) {
    throw InputError({{}, "second_bits"}, "options of the second level need --scale-type double");
  }
  quant::SecondLevel& second = *format.second_level;
  if (o.second_bits) second.bits = *o.second_bits;
  if (o.second_block) second.block = *o.second_block;
  if (o.second_type)
    second.type = float_type(*o.second_type, "second_type", {"f32", "bf16", "f16"});
  if (o.second_code) {
    second.code =
        named(*o.second_code, "second_code", quant::scale_code_from_name, {"dynamic", "uniform"});
  } else if (second.bits != 8) {
    second.code = quant::ScaleCode::uniform;  // the dynamic code has 8 bits alone
  }
}

int whole_bits(double bits) {
  constexpr double kFarTooMany = 1e6;
  if (bits == std::floor(bits)) return static_cast<int>(std::clamp(bits, -1.0, kFarTooMany));
  throw InputError({{}, "bits"}, "expected a whole number for one format");
}

quant::Format format_of(const QuantizeOptions& o, quant::Format format) {
  if (o.codebook) {
    format.codebook =
        named(*o.codebook, "codebook", quant::codebook_from_name, quant::codebook_names());
    const quant::BitRange range = quant::bit_range(format.codebook);
    if (range.least == range.most) format.bits = range.least;
  }
  if (o.bits) format.bits = whole_bits(*o.bits);
  if (o.block) format.block = *o.block;
  if (o.scale) {
    format.scale_rule =
        named(*o.scale, "scale", quant::scale_rule_from_name, {"absmax", "mse", "deviation"});
  }
  if (o.scale_type && *o.scale_type == "double") {
    format.second_level = quant::SecondLevel{};
  } else if (o.scale_type) {
    format.second_level.reset();
    format.scale_type = float_type(*o.scale_type, "scale_type", {"f32", "bf16", "f16", "double"});
  }
  set_second_level(o, format);
  format.validate();
  return format;
}

void refuse_formats_beside_plan(const QuantizeOptions& o) {
  const auto refuse = [](bool given, const char* option) {
    if (given) {
      throw InputError({{}, option}, "expected none beside --plan, which says it for each matrix");
    }
  };
  refuse(o.bits.has_value(), "bits");
  refuse(o.size.has_value(), "size");
  refuse(!o.ranks.empty(), "ranks");
  refuse(o.codebook.has_value(), "codebook");
  refuse(o.block.has_value(), "block");
  refuse(o.scale.has_value(), "scale");
  refuse(o.scale_type.has_value(), "scale_type");
  refuse(o.second_bits.has_value(), "second_bits");
  refuse(o.second_block.has_value(), "second_block");
  refuse(o.second_type.has_value(), "second_type");
  refuse(o.second_code.has_value(), "second_code");
  refuse(!o.target_modules.empty(), "target_modules");
}

void set_metric(const QuantizeOptions& o, decompose::Recipe& recipe) {
  if (o.metric) {
    recipe.metric =
        named(*o.metric, "metric", decompose::metric_from_name, decompose::metric_names());
  }
  if (o.damping) {
    if (!(std::isfinite(*o.damping) && *o.damping >= 0)) {
      throw InputError({{}, "damping"}, "expected a number of at least 0");
    }
    recipe.damping = *o.damping;
  }
}

// Behind quantized matrices the preset's own; on the full model's inputs it costs one real model
// more than others gain (docs/methods/qloft.md).
void set_start(const QuantizeOptions& o, const decompose::Preset& preset,
               decompose::Recipe& recipe) {
  if (!o.low_rank_start) {
    if (is_sequential(o)) recipe.low_rank_start = preset.low_rank_start;
    return;
  }
  if (recipe.loop != decompose::Loop::quantize_first &&
      recipe.loop != decompose::Loop::quantize_until_best) {
    throw InputError({{}, "low_rank_start"}, "expected none with the method " + o.method +
                                                 ": it has no loop that quantizes first");
  }
  if (!(*o.low_rank_start >= 0 && *o.low_rank_start <= 1)) {
    throw InputError({{}, "low_rank_start"},
                     "expected a number of 0 to 1, found " + std::to_string(*o.low_rank_start));
  }
  recipe.low_rank_start = *o.low_rank_start;
}

}  // namespace

namespace {

// The rank of most matrices; the others, and with alpha by the rank every matrix, get a pattern.
void set_ranks(const QuantizeOptions& o, std::vector<QuantizeTarget>& targets,
               adapter::Config& config) {
  std::map<std::int64_t, std::int64_t> counts;
  for (QuantizeTarget& target : targets) {
    if (!target.rank) continue;
    if (*target.rank == 0) {
      target.adapted = false;
    } else {
      ++counts[*target.rank];
    }
  }
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  config.rank = most == counts.end() ? 0 : most->first;
  config.alpha = o.alpha.value_or(static_cast<double>(config.rank));
  for (const QuantizeTarget& target : targets) {
    if (!target.adapted || *target.rank == config.rank) continue;
    config.rank_pattern[target.module] = *target.rank;
    if (!o.alpha) config.alpha_pattern[target.module] = static_cast<double>(*target.rank);
  }
}

// The last parts of the adapted modules' names, or their whole names where a module that is not
// adapted ends like one of them.
std::vector<std::string> names_of_adapted(const std::vector<QuantizeTarget>& targets) {
  std::set<std::string> ends, others, whole;
  for (const QuantizeTarget& target : targets) {
    (target.adapted ? ends : others).insert(last_part(target.module));
    if (target.adapted) whole.insert(target.module);
  }
  const bool distinct =
      std::ranges::none_of(ends, [&](const auto& n) { return others.contains(n); });
  const std::set<std::string>& names = distinct ? ends : whole;
  return {names.begin(), names.end()};
}

void check_sequential(const QuantizeOptions& o, const decompose::Recipe& recipe,
                      const architecture::Layout& layout) {
  const ErrorLocation where{{}, "inputs"};
  if (recipe.metric != decompose::Metric::gram) {
    throw InputError(where,
                     "quantized: expected a method with the metric gram, whose Gram matrices are "
                     "made on the way (auto with data, qloft, gptq-lora, cloq, qera); found " +
                         std::string(decompose::name(recipe.metric)));
  }
  if (!o.task.empty() || !takes_quantized_inputs(layout)) {
    throw InputError(where,
                     "quantized: expected a decoder and a text: sequences of an encoder or a task "
                     "are not taken through one block after the other");
  }
}

}  // namespace

bool takes_quantized_inputs(const architecture::Layout& layout) {
  return !layout.encoder && architecture::predicts_next_token(layout);
}

bool QuantizeJob::has_adapter() const {
  return recipe.rank > 0 &&
         std::any_of(targets.begin(), targets.end(), [](const auto& t) { return t.adapted; });
}

std::string QuantizeJob::format_text() const {
  std::set<std::string> formats;
  for (const QuantizeTarget& target : targets) formats.insert(target.format.describe());
  if (formats.size() == 1) return *formats.begin();
  return std::to_string(formats.size()) + " formats";
}

std::string QuantizeJob::rank_text() const {
  std::set<std::int64_t> ranks;
  for (const QuantizeTarget& target : targets) {
    if (target.rank) ranks.insert(*target.rank);
  }
  if (ranks.size() < 2) return "rank " + std::to_string(recipe.rank);
  return "ranks " + std::to_string(*ranks.begin()) + " to " + std::to_string(*ranks.rbegin());
}

decompose::Preset preset_of(const QuantizeOptions& options) {
  const decompose::Preset& preset = decompose::preset(options.method);
  return options.effort ? decompose::with_effort(preset, *options.effort) : preset;
}

QuantizeJob job_of(const QuantizeOptions& options, const quantized::ModelFiles& files) {
  QuantizeJob job;
  const decompose::Preset preset = preset_of(options);
  job.recipe = decompose::recipe_from(preset);
  if (options.plan) {
    refuse_formats_beside_plan(options);
  } else {
    job.recipe.format = format_of(options, preset.format);
  }
  set_metric(options, job.recipe);
  const std::int64_t rank = options.rank.value_or(kDefaultRank);
  if (rank < 0) {
    throw InputError({{}, "rank"}, "expected 0 or more, found " + std::to_string(rank));
  }
  if (options.alpha && !(std::isfinite(*options.alpha) && *options.alpha > 0)) {
    throw InputError({{}, "alpha"}, "expected a number above 0");
  }
  if (options.alpha && *options.alpha > std::numeric_limits<float>::max()) {
    throw InputError({{}, "alpha"}, "expected a number that f32 holds");
  }
  if (options.iterations && *options.iterations < 0) {
    throw InputError({{}, "iterations"},
                     "expected 0 or more, found " + std::to_string(*options.iterations));
  }
  set_start(options, preset, job.recipe);
  job.recipe.rank = rank;
  if (options.iterations) job.recipe.iterations = *options.iterations;
  job.recipe.exact_svd = options.exact;
  job.recipe.seed = options.seed;
  job.adapter_type = adapter_storage(options.adapter_dtype, files.source());
  // 16 bits round next to nothing off, and NF8 has scales of its own.
  if (job.adapter_type == ElementType::f8) job.recipe.factor_type = ElementType::f8;

  if (options.plan) {
    job.targets = targets_of(read_plan(*options.plan), *options.plan, files.layout());
  } else {
    job.targets = targets_of(options.target_modules, files.layout(), {{}, "target_modules"});
    for (QuantizeTarget& target : job.targets) target.format = job.recipe.format;
  }
  check_targets(job.targets, job.recipe.rank, files);
  job.adapter.rank = rank;
  job.adapter.alpha = options.alpha.value_or(static_cast<double>(rank));
  if (std::ranges::any_of(job.targets,
                          [](const auto& target) { return target.rank.has_value(); })) {
    set_ranks(options, job.targets, job.adapter);
    job.recipe.rank = 0;
    for (const QuantizeTarget& target : job.targets) {
      job.recipe.rank = std::max(job.recipe.rank, target.rank.value_or(0));
    }
  }
  if (is_sequential(options)) {
    check_sequential(options, job.recipe, files.layout());
  } else if (auto statistics = open_statistics(options.stats, job.recipe.metric, files)) {
    job.statistics.emplace(std::move(*statistics));
    job.statistics_fingerprint = file_fingerprint(options.stats);
  }

  // The adapter starts where this model was only on top of this Q.
  if (!options.output.empty()) {
    job.adapter.base_model = std::filesystem::absolute(options.output).lexically_normal().string();
  }
  job.adapter.target_modules = names_of_adapted(job.targets);
  return job;
}

io::Json to_json(const QuantizeJob& job) {
  const decompose::Recipe& recipe = job.recipe;
  io::Json json;
  json["quantizer"] = static_cast<int>(recipe.quantizer);
  json["metric"] = static_cast<int>(recipe.metric);
  json["low_rank"] = static_cast<int>(recipe.low_rank);
  json["loop"] = static_cast<int>(recipe.loop);
  json["rank"] = recipe.rank;
  json["alpha"] = job.adapter.alpha;
  json["iterations"] = recipe.iterations;
  json["low_rank_start"] = recipe.low_rank_start;
  json["exact"] = recipe.exact_svd;
  if (job.statistics) {
    json["statistics"] = job.statistics_fingerprint;
  }
  if (decompose::needs_gram(recipe.metric)) json["damping"] = recipe.damping;
  json["seed"] = recipe.seed;
  json["adapter_dtype"] = short_name(job.adapter_type);
  json["base_model"] = job.adapter.base_model;
  for (const QuantizeTarget& target : job.targets) {
    json["targets"].push_back({target.module, quantized::format_to_json(target.format)});
    if (target.rank) json["targets"].back().push_back(*target.rank);
  }
  return json;
}

}  // namespace qloft::pipeline
