#include "config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "pattern.h"
#include "qloft/io/fields.h"

namespace qloft::adapter {
namespace {

constexpr std::int64_t kMaximumRank = 1 << 20;

using architecture::HeadKind;
using architecture::Layout;

// What PEFT calls the task of a model with such a head.
struct TaskName {
  HeadKind kind;
  const char* name;
};
constexpr std::array<TaskName, 6> kTasks = {{{HeadKind::next_token, "CAUSAL_LM"},
                                             {HeadKind::sequence_to_sequence, "SEQ_2_SEQ_LM"},
                                             {HeadKind::sequence, "SEQ_CLS"},
                                             {HeadKind::tokens, "TOKEN_CLS"},
                                             {HeadKind::spans, "QUESTION_ANS"},
                                             {HeadKind::states, "FEATURE_EXTRACTION"}}};

io::Json task_of(HeadKind kind) {
  const auto found = std::ranges::find(kTasks, kind, &TaskName::kind);
  return found == kTasks.end() ? io::Json() : io::Json(found->name);
}

bool is_empty(const io::Json& value) {
  return (value.is_array() || value.is_object() || value.is_null()) ? value.empty()
                                                                    : value == false;
}

// Features of LoraConfig that change what the factors mean.
void refuse_unsupported(const io::Field& config, const Layout& layout) {
  const io::Field type = config.at("peft_type");
  if (type.json() != "LORA") type.refuse("\"LORA\"");
  if (const auto task = config.find("task_type")) {
    // Encoders take the adapters of each other's heads, and encoder-decoders with such a head those
    // of the whole model too.
    const io::Json own = architecture::encodes(layout) ? io::Json() : task_of(layout.head.kind);
    const auto fits = [&](const TaskName& row) {
      const bool whole = layout.encoder && row.kind == HeadKind::sequence_to_sequence;
      return (whole || architecture::encodes(row.kind)) && task->json() == row.name;
    };
    if (own.is_null() ? std::ranges::none_of(kTasks, fits) : task->json() != own) {
      task->refuse(own.is_null() ? "the task of an encoder" : own.dump());
    }
  }
  const auto bias = config.find("bias");
  if (bias && bias->json() != "none") {
    bias->refuse("\"none\" (biases of an adapter are not supported)");
  }
  static constexpr const char* kUnsupported[] = {"use_dora",
                                                 "lora_bias",
                                                 "layer_replication",
                                                 "use_qalora",
                                                 "use_bdlora",
                                                 "arrow_config",
                                                 "trainable_token_indices",
                                                 "kasa_config",
                                                 "monteclora_config",
                                                 "alora_invocation_tokens",
                                                 "ensure_weight_tying"};
  for (const char* name : kUnsupported) {
    if (const auto field = config.find(name); field && !is_empty(field->json())) {
      field->refuse("none (this feature of PEFT is not supported)");
    }
  }
  const auto saved = config.find("modules_to_save");
  if (saved && !is_empty(saved->json()) && architecture::head_parameters(layout).empty()) {
    saved->refuse("none (this model has no head to save)");
  }
  // The other initial values (PiSSA, OLoRA, CorDA, ...) go with a base model that they changed.
  if (const auto init = config.find("init_lora_weights")) {
    const io::Json& value = init->json();
    if (!value.is_boolean() && value != "gaussian" && value != "eva" && value != "orthogonal") {
      init->refuse(
          "true, false, \"gaussian\", \"eva\" or \"orthogonal\" (others belong to a "
          "changed base model)");
    }
  }
}

struct PatternEntry {
  Pattern pattern;
  io::Field value;
};

// Scales are f32.
double read_alpha(const io::Field& field) {
  const double alpha = field.number();
  if (std::abs(alpha) > std::numeric_limits<float>::max()) field.refuse("a number that f32 holds");
  return alpha;
}

// rank_pattern or alpha_pattern: each key matches a module's whole name or its end after a dot.
std::vector<PatternEntry> read_patterns(const io::Field& config, const char* name) {
  std::vector<PatternEntry> out;
  const auto object = config.find(name);
  if (!object) return out;
  for (const auto& [key, value] : object->members()) {
    out.push_back({Pattern("(.*\\.)?(" + key + ")", value.file(), value.path()), value});
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

std::string last_part(const std::string& module) {
  return module.substr(module.rfind('.') + 1);  // npos + 1 == 0
}

std::vector<std::string> last_parts(const std::vector<std::string>& modules) {
  std::set<std::string> names;
  for (const std::string& module : modules) names.insert(last_part(module));
  return {names.begin(), names.end()};
}

std::vector<std::string> read_targets(const io::Field& config,
                                      const std::vector<std::string>& modules) {
  const auto targets = config.find("target_modules");
  if (!targets) return last_parts(modules);
  if (targets->json().is_array()) {
    auto names = targets->strings();
    const bool narrowed = config.has("exclude_modules") || config.has("layers_to_transform");
    return narrowed ? modules : names;
  }
  if (!targets->json().is_string()) {
    targets->refuse("an array of module names or a regular expression");
  }
  // PEFT spells it in any case.
  std::string text = targets->string();
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
                        const std::vector<std::string>& modules, const Layout& layout) {
  const io::Field root(json, file);
  refuse_unsupported(root, layout);
  Config config;
  config.rank = root.at("r").integer(1, kMaximumRank);
  const auto alpha = root.find("lora_alpha");
  config.alpha = alpha ? read_alpha(*alpha) : 8;
  config.rslora = root.boolean("use_rslora").value_or(false);
  config.dropout = root.number("lora_dropout").value_or(0);
  if (config.dropout < 0 || config.dropout >= 1) {
    root.at("lora_dropout").refuse("a number from 0 to below 1");
  }
  config.base_model = root.string("base_model_name_or_path").value_or("");
  config.target_modules = read_targets(root, modules);

  const auto ranks = read_patterns(root, "rank_pattern");
  const auto alphas = read_patterns(root, "alpha_pattern");
  for (const std::string& module : modules) {
    if (const PatternEntry* entry = first_match(ranks, module)) {
      const std::int64_t own = entry->value.integer(1, kMaximumRank);
      if (own != config.rank) config.rank_pattern[module] = own;
    }
    if (const PatternEntry* entry = first_match(alphas, module)) {
      const double own = read_alpha(entry->value);
      if (own != config.alpha) config.alpha_pattern[module] = own;
    }
  }
  return config;
}

std::vector<std::string> target_parameters(const io::Json& json,
                                           const std::filesystem::path& file) {
  const auto field = io::Field(json, file).find("target_parameters");
  return field ? field->strings() : std::vector<std::string>();
}

std::vector<std::string> saved_modules(const io::Json& json, const std::filesystem::path& file) {
  const auto field = io::Field(json, file).find("modules_to_save");
  return field ? field->strings() : std::vector<std::string>();
}

std::string saved_module_of(const std::string& parameter, const Layout& layout) {
  const std::string name =
      parameter.starts_with(layout.prefix) ? parameter.substr(layout.prefix.size()) : parameter;
  return name.substr(0, name.find('.'));
}

io::Json config_to_json(const Config& config, const std::vector<std::string>& modules,
                        const std::vector<std::string>& parameters,
                        const std::vector<std::string>& saved, HeadKind head) {
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
  json["modules_to_save"] = saved.empty() ? null : io::Json(saved);
  json["peft_type"] = "LORA";
  json["r"] = config.rank;
  json["rank_pattern"] = ranks;
  json["revision"] = null;
  json["target_modules"] = targets;
  json["target_parameters"] = parameters.empty() ? null : io::Json(parameters);
  json["task_type"] = task_of(head);
  json["trainable_token_indices"] = null;
  json["use_dora"] = false;
  json["use_rslora"] = config.rslora;
  return json;
}

}  // namespace qloft::adapter
