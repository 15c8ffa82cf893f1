#include "quantize_plan.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "qloft/core/error.h"
#include "words.h"

namespace qloft::pipeline {
namespace {

template <typename T>
T named(const std::string& text, const char* option,
        std::optional<T> (*from_name)(std::string_view), const std::string& known) {
  const auto value = from_name(text);
  if (!value) throw InputError({{}, option}, "expected " + known + ", found '" + text + "'");
  return *value;
}

ElementType float_type(const std::string& text, const char* option, const std::string& known) {
  const auto type = element_type_from_short_name(text);
  if (type &&
      (*type == ElementType::f32 || *type == ElementType::bf16 || *type == ElementType::f16)) {
    return *type;
  }
  throw InputError({{}, option}, "expected " + known + ", found '" + text + "'");
}

std::string codebook_list() {
  std::string list;
  for (const std::string_view name : quant::codebook_names()) {
    list += (list.empty() ? "one of " : ", ") + std::string(name);
  }
  return list;
}

void set_second_level(const QuantizeOptions& o, quant::Format& format) {
  const bool wanted = o.second_bits || o.second_block || o.second_type || o.second_code;
  if (!wanted) return;
  if (!format.second_level) {
    throw InputError({{}, "second_bits"}, "options of the second level need --scale-type double");
  }
  quant::SecondLevel& second = *format.second_level;
  if (o.second_bits) second.bits = *o.second_bits;
  if (o.second_block) second.block = *o.second_block;
  if (o.second_type) second.type = float_type(*o.second_type, "second_type", "f32, bf16 or f16");
  if (o.second_code) {
    second.code =
        named(*o.second_code, "second_code", quant::scale_code_from_name, "dynamic or uniform");
  } else if (second.bits != 8) {
    second.code = quant::ScaleCode::uniform;  // the dynamic code has 8 bits alone
  }
}

quant::Format format_of(const QuantizeOptions& o, quant::Format format) {
  if (o.codebook) {
    format.codebook = named(*o.codebook, "codebook", quant::codebook_from_name, codebook_list());
    if (format.codebook == quant::Codebook::binary) format.bits = 1;
    if (format.codebook == quant::Codebook::ternary) format.bits = 2;
  }
  if (o.bits) format.bits = *o.bits;
  if (o.block) format.block = *o.block;
  if (o.scale) {
    format.scale_rule = named(*o.scale, "scale", quant::scale_rule_from_name, "absmax or mse");
  }
  if (o.scale_type && *o.scale_type == "double") {
    format.second_level = quant::SecondLevel{};
  } else if (o.scale_type) {
    format.second_level.reset();
    format.scale_type = float_type(*o.scale_type, "scale_type", "f32, bf16, f16 or double");
  }
  set_second_level(o, format);
  format.validate();
  return format;
}

// Every matrix that could be quantized: the linear layers, the output matrix, the embedding.
std::vector<QuantizeTarget> candidates(const model::Architecture& a) {
  std::vector<QuantizeTarget> out;
  out.push_back({"model.embed_tokens", a.vocabulary_size, a.hidden_size, false, {}});
  for (const model::LinearShape& layer : model::linear_layers(a)) {
    out.push_back({layer.name, layer.out, layer.in, true, layer.input_of});
  }
  if (!a.tied_embeddings) out.push_back({"lm_head", a.vocabulary_size, a.hidden_size, true, {}});
  return out;
}

std::vector<QuantizeTarget> targets_of(const QuantizeOptions& options,
                                       const model::Architecture& architecture) {
  const std::vector<QuantizeTarget> all = candidates(architecture);
  std::set<std::string> known;
  for (const QuantizeTarget& target : all) known.insert(last_part(target.module));
  std::set<std::string> unmatched(options.target_modules.begin(), options.target_modules.end());
  std::vector<QuantizeTarget> out;
  for (const QuantizeTarget& target : all) {
    bool chosen = options.target_modules.empty() && target.module.starts_with("model.layers.");
    for (const std::string& name : options.target_modules) {
      if (target.module != name && !target.module.ends_with("." + name)) continue;
      chosen = true;
      unmatched.erase(name);
    }
    if (chosen) out.push_back(target);
  }
  if (!unmatched.empty()) {
    std::string list;
    for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
    throw InputError({{}, "target_modules"}, "expected modules of this model (" + list +
                                                 "), found '" + *unmatched.begin() + "'");
  }
  return out;
}

void refuse_quantized(const checkpoint::Checkpoint& source) {
  const io::Json& config = source.config();
  const auto it = config.find("quantization_config");
  if (it == config.end() || it->is_null()) return;
  const bool named =
      it->is_object() && it->contains("quant_method") && (*it)["quant_method"].is_string();
  throw InputError({source.folder() / "config.json", "quantization_config"},
                   "expected a full-precision model, found one that is quantized already" +
                       (named ? " (" + (*it)["quant_method"].get<std::string>() + ")" : ""));
}

void check_tensors(const checkpoint::Checkpoint& source, const model::Architecture& architecture) {
  for (const model::TensorShape& expected : model::expected_tensors(architecture)) {
    const std::vector<std::int64_t>& shape = source.info(expected.name).shape;
    if (shape != expected.shape) {
      throw InputError({source.folder(), expected.name},
                       "expected the shape " + shape_text(expected.shape) +
                           " by config.json, found " + shape_text(shape));
    }
  }
}

void check_targets(const QuantizePlan& plan, const checkpoint::Checkpoint& source) {
  for (const QuantizeTarget& target : plan.targets) {
    const ErrorLocation where{source.folder(), target.weight()};
    const ElementType type = source.info(target.weight()).type;
    if (type != ElementType::f32 && type != ElementType::f16 && type != ElementType::bf16) {
      throw InputError(where, "expected elements of type F32, F16 or BF16, found " +
                                  std::string(safetensors_name(type)));
    }
    const std::int64_t most = std::min(target.rows, target.columns);
    if (target.adapted && plan.recipe.rank > most) {
      throw InputError(where, "expected a rank of at most " + std::to_string(most) +
                                  " for its shape " + shape_text({target.rows, target.columns}) +
                                  ", found " + std::to_string(plan.recipe.rank));
    }
  }
}

void set_metric(const QuantizeOptions& o, decompose::Recipe& recipe) {
  if (o.metric) {
    std::string known;
    for (const std::string_view name : decompose::metric_names()) {
      known += (known.empty() ? "one of " : ", ") + std::string(name);
    }
    recipe.metric = named(*o.metric, "metric", decompose::metric_from_name, known);
  }
  if (o.damping) recipe.damping = *o.damping;
}

void open_statistics(const QuantizeOptions& options, const checkpoint::Checkpoint& source,
                     QuantizePlan& plan) {
  if (options.stats.empty()) {
    throw InputError({{}, "stats"},
                     "expected a file that qloft calibrate wrote, which the metric " +
                         std::string(decompose::name(plan.recipe.metric)) + " needs; found none");
  }
  plan.statistics.emplace(options.stats);
  plan.statistics->expect_model(source);
}

}  // namespace

bool QuantizePlan::has_adapter() const {
  return recipe.rank > 0 &&
         std::any_of(targets.begin(), targets.end(), [](const auto& t) { return t.adapted; });
}

QuantizePlan plan_quantize(const QuantizeOptions& options, const checkpoint::Checkpoint& source) {
  QuantizePlan plan;
  const decompose::Preset& preset = decompose::preset(options.method);
  plan.recipe = decompose::recipe_from(preset);
  plan.recipe.format = format_of(options, preset.format);
  set_metric(options, plan.recipe);
  if (options.rank < 0) {
    throw InputError({{}, "rank"}, "expected 0 or more, found " + std::to_string(options.rank));
  }
  if (options.alpha && !(std::isfinite(*options.alpha) && *options.alpha > 0)) {
    throw InputError({{}, "alpha"}, "expected a number above 0");
  }
  if (options.iterations && *options.iterations < 0) {
    throw InputError({{}, "iterations"},
                     "expected 0 or more, found " + std::to_string(*options.iterations));
  }
  plan.recipe.rank = options.rank;
  if (options.iterations) plan.recipe.iterations = *options.iterations;
  plan.recipe.exact_svd = options.exact;
  plan.recipe.seed = options.seed;
  plan.adapter_type = named(options.adapter_dtype, "adapter_dtype", adapter::storage_from_name,
                            "f32, bf16, f16 or nf8");

  refuse_quantized(source);
  const auto architecture =
      model::parse_architecture(source.config(), source.folder() / "config.json");
  check_tensors(source, architecture);
  plan.targets = targets_of(options, architecture);
  check_targets(plan, source);
  if (decompose::needs_gram(plan.recipe.metric) || decompose::needs_fisher(plan.recipe.metric)) {
    open_statistics(options, source, plan);
  }

  plan.adapter.rank = options.rank;
  plan.adapter.alpha = options.alpha.value_or(static_cast<double>(options.rank));
  plan.adapter.base_model = options.model;
  std::set<std::string> names;
  for (const QuantizeTarget& target : plan.targets) {
    if (target.adapted) names.insert(last_part(target.module));
  }
  plan.adapter.target_modules.assign(names.begin(), names.end());
  if (options.rank > 0) plan.recipe.scale = plan.adapter.scale_of("");
  return plan;
}

io::Json to_json(const QuantizePlan& plan) {
  const decompose::Recipe& recipe = plan.recipe;
  io::Json json;
  json["quantizer"] = static_cast<int>(recipe.quantizer);
  json["metric"] = static_cast<int>(recipe.metric);
  json["low_rank"] = static_cast<int>(recipe.low_rank);
  json["loop"] = static_cast<int>(recipe.loop);
  json["format"] = quantized::format_to_json(recipe.format);
  json["rank"] = recipe.rank;
  json["alpha"] = plan.adapter.alpha;
  json["iterations"] = recipe.iterations;
  json["exact"] = recipe.exact_svd;
  if (plan.statistics) {
    json["statistics"] = statistics::to_metadata(plan.statistics->origin());
    json["damping"] = recipe.damping;
  }
  json["seed"] = recipe.seed;
  json["adapter_dtype"] = short_name(plan.adapter_type);
  json["base_model"] = plan.adapter.base_model;
  for (const QuantizeTarget& target : plan.targets) json["targets"].push_back(target.module);
  return json;
}

}  // namespace qloft::pipeline
