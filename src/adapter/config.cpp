#include "config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "pattern.h"
#include "qloft/core/error.h"

namespace qloft::adapter {
namespace {

constexpr std::int64_t kMaximumRank = 1 << 20;

// One JSON object with the file that it came from.
class Reader {
 public:
  Reader(const io::Json& json, const std::filesystem::path& file) : json_(json), file_(file) {
    if (!json.is_object()) {
      throw InputError({file, {}}, std::string("expected an object, found ") + json.type_name());
    }
  }

  [[noreturn]] void fail(const std::string& field, const std::string& expected,
                         const io::Json& found) const {
    std::string text = found.dump(-1, ' ', true, io::Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    throw InputError({file_, field}, "expected " + expected + ", found " + text);
  }

  // nullptr: missing or null.
  const io::Json* find(const char* field) const {
    const auto it = json_.find(field);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  double number(const char* field, double fallback) const {
    const io::Json* value = find(field);
    if (value == nullptr) return fallback;
    return number_of(*value, field);
  }
  double number_of(const io::Json& value, const std::string& field) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) fail(field, "a number", value);
    return value.get<double>();
  }
  bool boolean(const char* field, bool fallback) const {
    const io::Json* value = find(field);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) fail(field, "true or false", *value);
    return value->get<bool>();
  }
  std::int64_t rank_of(const io::Json& value, const std::string& field) const {
    if (!value.is_number_integer() || value.get<double>() < 1 ||
        value.get<double>() > static_cast<double>(kMaximumRank)) {
      fail(field, "a whole number from 1", value);
    }
    return value.get<std::int64_t>();
  }
  const std::filesystem::path& file() const { return file_; }

 private:
  const io::Json& json_;
  const std::filesystem::path& file_;
};

bool is_empty(const io::Json& value) {
  return (value.is_array() || value.is_object() || value.is_null()) ? value.empty()
                                                                    : value == false;
}

// Features of LoraConfig that change what the factors mean.
void refuse_unsupported(const Reader& reader) {
  const io::Json* type = reader.find("peft_type");
  if (type == nullptr || *type != "LORA") {
    reader.fail("peft_type", "\"LORA\"", type == nullptr ? io::Json() : *type);
  }
  if (const io::Json* task = reader.find("task_type"); task != nullptr && *task != "CAUSAL_LM") {
    reader.fail("task_type", "\"CAUSAL_LM\"", *task);
  }
  if (const io::Json* bias = reader.find("bias"); bias != nullptr && *bias != "none") {
    reader.fail("bias", "\"none\" (biases of an adapter are not supported)", *bias);
  }
  static constexpr const char* kUnsupported[] = {"use_dora",
                                                 "lora_bias",
                                                 "modules_to_save",
                                                 "layer_replication",
                                                 "use_qalora",
                                                 "use_bdlora",
                                                 "arrow_config",
                                                 "trainable_token_indices",
                                                 "kasa_config",
                                                 "monteclora_config",
                                                 "alora_invocation_tokens",
                                                 "ensure_weight_tying"};
  for (const char* field : kUnsupported) {
    if (const io::Json* value = reader.find(field); value != nullptr && !is_empty(*value)) {
      reader.fail(field, "none (this feature of PEFT is not supported)", *value);
    }
  }
  // The other initial values (PiSSA, OLoRA, CorDA, ...) go with a base model that they changed.
  if (const io::Json* init = reader.find("init_lora_weights"); init != nullptr) {
    const bool plain =
        init->is_boolean() || *init == "gaussian" || *init == "eva" || *init == "orthogonal";
    if (!plain) {
      reader.fail("init_lora_weights",
                  "true, false, \"gaussian\", \"eva\" or \"orthogonal\" (others belong to a "
                  "changed base model)",
                  *init);
    }
  }
}

struct PatternEntry {
  Pattern pattern;
  const io::Json* value;
  std::string field;
};

// rank_pattern or alpha_pattern: each key matches a module's whole name or its end after a dot.
std::vector<PatternEntry> read_patterns(const Reader& reader, const char* field) {
  std::vector<PatternEntry> out;
  const io::Json* object = reader.find(field);
  if (object == nullptr) return out;
  if (!object->is_object()) reader.fail(field, "an object", *object);
  for (const auto& [key, value] : object->items()) {
    const std::string entry = std::string(field) + "." + key;
    out.push_back({Pattern("(.*\\.)?(" + key + ")", reader.file(), entry), &value, entry});
  }
  return out;
}

const PatternEntry* first_match(const std::vector<PatternEntry>& entries,
                                const std::string& module) {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const PatternEntry& entry) {
    return entry.pattern.matches(module);
  });
  return it == entries.end() ? nullptr : &*it;
}

std::vector<std::string> strings(const Reader& reader, const char* field, const io::Json& value) {
  std::vector<std::string> out;
  for (const io::Json& entry : value) {
    if (!entry.is_string()) reader.fail(field, "an array of module names", value);
    out.push_back(entry.get<std::string>());
  }
  return out;
}

std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);  // npos + 1 == 0
}

std::vector<std::string> last_parts(const std::vector<std::string>& modules) {
  std::set<std::string> names;
  for (const std::string& module : modules) names.insert(last_part(module));
  return {names.begin(), names.end()};
}

std::vector<std::string> read_targets(const Reader& reader,
                                      const std::vector<std::string>& modules) {
  const io::Json* value = reader.find("target_modules");
  if (value == nullptr) return last_parts(modules);
  if (value->is_array()) {
    auto names = strings(reader, "target_modules", *value);
    const bool narrowed = reader.find("exclude_modules") || reader.find("layers_to_transform");
    return narrowed ? modules : names;
  }
  if (!value->is_string()) {
    reader.fail("target_modules", "an array of module names or a regular expression", *value);
  }
  // PEFT spells it in any case.
  std::string text = value->get<std::string>();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text == "all-linear" ? last_parts(modules) : modules;
}

bool is_target(const std::string& module, const std::vector<std::string>& targets) {
  return std::any_of(targets.begin(), targets.end(), [&](const std::string& target) {
    return module == target || module.ends_with("." + target);
  });
}

io::Json json_number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return static_cast<std::int64_t>(value);
  }
  return value;
}

}  // namespace

std::int64_t Config::rank_of(const std::string& module) const {
  const auto it = rank_pattern.find(module);
  return it == rank_pattern.end() ? rank : it->second;
}

double Config::scale_of(const std::string& module) const {
  const auto it = alpha_pattern.find(module);
  const double own_alpha = it == alpha_pattern.end() ? alpha : it->second;
  const auto own_rank = static_cast<double>(rank_of(module));
  return own_alpha / (rslora ? std::sqrt(own_rank) : own_rank);
}

Config config_from_json(const io::Json& json, const std::filesystem::path& file,
                        const std::vector<std::string>& modules) {
  const Reader reader(json, file);
  refuse_unsupported(reader);
  Config config;
  const io::Json* rank = reader.find("r");
  if (rank == nullptr) throw InputError({file, "r"}, "expected the rank, found none");
  config.rank = reader.rank_of(*rank, "r");
  config.alpha = reader.number("lora_alpha", 8);
  config.rslora = reader.boolean("use_rslora", false);
  config.dropout = reader.number("lora_dropout", 0);
  if (config.dropout < 0 || config.dropout >= 1) {
    reader.fail("lora_dropout", "a number from 0 to below 1", *reader.find("lora_dropout"));
  }
  if (const io::Json* base = reader.find("base_model_name_or_path"); base != nullptr) {
    if (!base->is_string()) reader.fail("base_model_name_or_path", "a string", *base);
    config.base_model = base->get<std::string>();
  }
  config.target_modules = read_targets(reader, modules);

  const auto ranks = read_patterns(reader, "rank_pattern");
  const auto alphas = read_patterns(reader, "alpha_pattern");
  for (const std::string& module : modules) {
    if (const PatternEntry* entry = first_match(ranks, module)) {
      const std::int64_t own = reader.rank_of(*entry->value, entry->field);
      if (own != config.rank) config.rank_pattern[module] = own;
    }
    if (const PatternEntry* entry = first_match(alphas, module)) {
      const double own = reader.number_of(*entry->value, entry->field);
      if (own != config.alpha) config.alpha_pattern[module] = own;
    }
  }
  return config;
}

std::vector<std::string> target_parameters(const io::Json& json,
                                           const std::filesystem::path& file) {
  const Reader reader(json, file);
  const io::Json* value = reader.find("target_parameters");
  if (value == nullptr) return {};
  if (!value->is_array()) reader.fail("target_parameters", "an array of parameter names", *value);
  return strings(reader, "target_parameters", *value);
}

io::Json config_to_json(const Config& config, const std::vector<std::string>& modules,
                        const std::vector<std::string>& parameters) {
  std::vector<std::string> targets;
  for (const std::string& target : config.target_modules) {
    const bool is_of_parameters =
        std::any_of(parameters.begin(), parameters.end(),
                    [&](const std::string& name) { return is_target(name, {target}); });
    const bool selects = std::any_of(modules.begin(), modules.end(), [&](const std::string& name) {
      return is_target(name, {target});
    });
    if (selects || !is_of_parameters) targets.push_back(target);
  }
  if (targets.empty()) targets = last_parts(modules);
  std::vector<std::string> missed;
  for (const std::string& module : modules) {
    if (!is_target(module, targets)) missed.push_back(module);
  }
  targets.insert(targets.end(), missed.begin(), missed.end());

  io::Json ranks = io::Json::object();
  for (const auto& [module, rank] : config.rank_pattern) ranks[module] = rank;
  io::Json alphas = io::Json::object();
  for (const auto& [module, alpha] : config.alpha_pattern) alphas[module] = json_number(alpha);

  const io::Json null;
  io::Json json;
  json["alpha_pattern"] = alphas;
  json["auto_mapping"] = null;
  json["base_model_name_or_path"] = config.base_model.empty() ? null : io::Json(config.base_model);
  json["bias"] = "none";
  json["exclude_modules"] = null;
  json["fan_in_fan_out"] = false;
  json["inference_mode"] = true;
  json["init_lora_weights"] = true;
  json["layer_replication"] = null;
  json["layers_pattern"] = null;
  json["layers_to_transform"] = null;
  json["lora_alpha"] = json_number(config.alpha);
  json["lora_bias"] = false;
  json["lora_dropout"] = config.dropout;
  json["megatron_config"] = null;
  json["megatron_core"] = "megatron.core";
  json["modules_to_save"] = null;
  json["peft_type"] = "LORA";
  json["r"] = config.rank;
  json["rank_pattern"] = ranks;
  json["revision"] = null;
  json["target_modules"] = targets;
  json["target_parameters"] = parameters.empty() ? null : io::Json(parameters);
  json["task_type"] = "CAUSAL_LM";
  json["trainable_token_indices"] = null;
  json["use_dora"] = false;
  json["use_rslora"] = config.rslora;
  return json;
}

}  // namespace qloft::adapter
