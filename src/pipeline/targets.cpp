#include "targets.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "names.h"

namespace qloft::pipeline {
namespace {

// Every matrix that could be quantized: the linear layers, the output matrix, the embedding.
std::vector<QuantizeTarget> candidates(const model::Architecture& a) {
  std::vector<QuantizeTarget> out;
  out.push_back({"model.embed_tokens", a.vocabulary_size, a.hidden_size, false, {}, {}});
  for (const model::LinearShape& layer : model::linear_layers(a)) {
    out.push_back({layer.name, layer.out, layer.in, true, {}, layer.input_of});
  }
  if (!a.tied_embeddings)
    out.push_back({"lm_head", a.vocabulary_size, a.hidden_size, true, {}, {}});
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

}  // namespace

model::Architecture read_dense_architecture(const checkpoint::Checkpoint& source) {
  refuse_quantized(source);
  auto architecture = model::parse_architecture(source.config(), source.folder() / "config.json");
  check_tensors(source, architecture);
  return architecture;
}

std::vector<QuantizeTarget> targets_of(const std::vector<std::string>& modules,
                                       const model::Architecture& architecture,
                                       const ErrorLocation& where) {
  const std::vector<QuantizeTarget> all = candidates(architecture);
  std::set<std::string> known;
  for (const QuantizeTarget& target : all) known.insert(last_part(target.module));
  std::set<std::string> unmatched(modules.begin(), modules.end());
  std::vector<QuantizeTarget> out;
  for (const QuantizeTarget& target : all) {
    bool chosen = modules.empty() && target.module.starts_with("model.layers.");
    for (const std::string& name : modules) {
      if (target.module != name && !target.module.ends_with("." + name)) continue;
      chosen = true;
      unmatched.erase(name);
    }
    if (chosen) out.push_back(target);
  }
  if (!unmatched.empty()) {
    std::string list;
    for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
    throw InputError(
        where, "expected modules of this model (" + list + "), found '" + *unmatched.begin() + "'");
  }
  return out;
}

void check_targets(const std::vector<QuantizeTarget>& targets, std::int64_t rank,
                   const checkpoint::Checkpoint& source) {
  for (const QuantizeTarget& target : targets) {
    const ErrorLocation where{source.folder(), target.weight()};
    const ElementType type = source.info(target.weight()).type;
    if (type != ElementType::f32 && type != ElementType::f16 && type != ElementType::bf16) {
      throw InputError(where, "expected elements of type F32, F16 or BF16, found " +
                                  std::string(safetensors_name(type)));
    }
    const std::int64_t most = std::min(target.rows, target.columns);
    if (target.adapted && rank > most) {
      throw InputError(where, "expected a rank of at most " + std::to_string(most) +
                                  " for its shape " + shape_text({target.rows, target.columns}) +
                                  ", found " + std::to_string(rank));
    }
  }
}

}  // namespace qloft::pipeline
