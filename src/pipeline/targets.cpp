#include "targets.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "names.h"

namespace qloft::pipeline {
namespace {

// Every matrix that could be quantized: the linear layers, the output matrix, the embedding.
std::vector<QuantizeTarget> candidates(const architecture::Layout& layout) {
  std::vector<QuantizeTarget> out;
  for (const architecture::ParameterId id : architecture::quantizable(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    QuantizeTarget target{
        id, parameter.module(), parameter.rows(), parameter.columns(), false, {}, {}, {}};
    if (parameter.layer >= 0) target.layer = parameter.layer;
    if (parameter.input_of != architecture::kNoParameter) {
      target.adapted = true;
      target.input_of = layout.parameter(parameter.input_of).module();
    }
    out.push_back(std::move(target));
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

}  // namespace

quantized::ModelFiles open_dense(const std::filesystem::path& folder) {
  refuse_quantized(checkpoint::Checkpoint(folder));
  return quantized::ModelFiles(folder);
}

std::vector<QuantizeTarget> targets_of(const std::vector<std::string>& modules,
                                       const architecture::Layout& layout,
                                       const ErrorLocation& where) {
  const std::vector<QuantizeTarget> all = candidates(layout);
  std::set<std::string> known;
  for (const QuantizeTarget& target : all) known.insert(last_part(target.module));
  std::set<std::string> unmatched(modules.begin(), modules.end());
  std::vector<QuantizeTarget> out;
  for (const QuantizeTarget& target : all) {
    bool chosen = modules.empty() && layout.parameter(target.id).role == architecture::Role::linear;
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
                   const quantized::ModelFiles& files) {
  for (const QuantizeTarget& target : targets) {
    const ErrorLocation where{files.folder(), target.weight()};
    const std::int64_t most = std::min(target.rows, target.columns);
    const std::int64_t its = target.rank.value_or(rank);
    if (target.adapted && its > most) {
      throw InputError(where, "expected a rank of at most " + std::to_string(most) +
                                  " for its shape " + shape_text({target.rows, target.columns}) +
                                  ", found " + std::to_string(its));
    }
  }
}

}  // namespace qloft::pipeline
