#pragma once
// What a quantized folder has in place of the matrices of the model that it was made of.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/quantized/model_files.h"
#include "targets.h"

namespace qloft::pipeline {

class Approximations {
 public:
  // Throws InputError for a folder that is not quantized, of another model than `full`, or with an
  // adapter that does not fit.
  Approximations(const std::filesystem::path& folder, const quantized::ModelFiles& full);

  // The matrices of the full model that it has quantized, with their formats and ranks, in the
  // order of the forward pass.
  const std::vector<QuantizeTarget>& targets() const { return targets_; }
  // The largest of its adapter; 0: it has none.
  std::int64_t rank() const { return rank_; }
  // Q + s B A.
  Matrix of(const QuantizeTarget& target) const;
  // Of its weights and its adapter.
  std::string fingerprint() const;

 private:
  quantized::ModelFiles files_;
  std::filesystem::path adapter_folder_;
  std::optional<adapter::Adapter> adapter_;
  std::map<std::string, architecture::ParameterId> ids_;  // in its own layout, by weight
  std::vector<QuantizeTarget> targets_;
  std::int64_t rank_ = 0;
};

}  // namespace qloft::pipeline
