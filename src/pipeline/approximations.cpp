#include "approximations.h"

#include <algorithm>

#include "load.h"
#include "matrix_statistics.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/resume.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

ModelOptions options_of(const fs::path& folder) {
  ModelOptions options;
  options.model = folder.string();
  return options;
}

}  // namespace

Approximations::Approximations(const fs::path& folder, const quantized::ModelFiles& full)
    : files_(folder) {
  if (!files_.quantization()) {
    throw InputError({folder, {}}, "expected a quantized folder, found a model that is not");
  }
  const statistics::Identity own = identity_of(files_), of_full = identity_of(full);
  const bool same_embedding =
      own.embedding.empty() || of_full.embedding.empty() || own.embedding == of_full.embedding;
  if (!same_embedding || own.vectors != of_full.vectors) {
    throw InputError({folder, {}}, "expected a folder that was quantized from " +
                                       full.folder().string() +
                                       ", found other norms, biases or embeddings");
  }
  adapter_ = find_adapter(files_, options_of(folder));
  const architecture::Layout& layout = files_.layout();
  std::vector<std::string> modules;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    const auto id = static_cast<architecture::ParameterId>(i);
    if (files_.packed(id) == nullptr) continue;
    modules.push_back(layout.parameter(id).module());
    ids_[layout.parameter(id).name] = id;
  }
  targets_ = targets_of(modules, full.layout(), {folder, "quantization_config"});
  std::erase_if(targets_, [&](const QuantizeTarget& t) { return !ids_.contains(t.weight()); });
  for (QuantizeTarget& target : targets_) {
    target.format = files_.packed(ids_.at(target.weight()))->format;
    target.rank = 0;
    if (!adapter_) continue;
    const auto factors = adapter_->modules.find(target.module);
    if (factors == adapter_->modules.end()) continue;
    target.rank = factors->second.a.rows();
    rank_ = std::max(rank_, *target.rank);
  }
}

Matrix Approximations::of(const QuantizeTarget& target) const {
  const architecture::ParameterId id = ids_.at(target.weight());
  Matrix out = files_.read_matrix(id);
  files_.drop(id);
  if (*target.rank > 0) {
    adapter::merge_into(out.view(), adapter_->modules.at(target.module),
                        adapter_->config.scale_of(target.module), target.module);
  }
  return out;
}

std::string Approximations::fingerprint() const {
  return weights_fingerprint(files_.folder()) +
         adapter_fingerprint(files_.source(), options_of(files_.folder()));
}

}  // namespace qloft::pipeline
