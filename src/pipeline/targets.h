#pragma once
// The matrices of a model that quantize and plan work on.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/core/error.h"
#include "qloft/quant.h"
#include "qloft/quantized/model_files.h"

namespace qloft::pipeline {

struct QuantizeTarget {
  architecture::ParameterId id = architecture::kNoParameter;
  std::string module;  // as PEFT names it
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool adapted = false;  // gets low-rank factors: linear layers do, the embedding does not
  quant::Format format;  // that quantize stores it in
  std::string input_of;  // the module with the same input whose name its Gram matrix bears
  std::optional<std::int64_t> layer;      // none: outside of the blocks
  std::optional<std::int64_t> rank = {};  // of its factors, by a plan; none: that of all

  std::string weight() const { return module + ".weight"; }
};

// The files of a model that can be quantized. Throws InputError for one that is quantized already,
// or whose tensors are not those of its config.json.
quantized::ModelFiles open_dense(const std::filesystem::path& folder);

// The linear layers of the decoder, or every matrix that `modules` names by the end of its name, in
// the order of the forward pass. A name that the model lacks is an InputError at `where`.
std::vector<QuantizeTarget> targets_of(const std::vector<std::string>& modules,
                                       const architecture::Layout& layout,
                                       const ErrorLocation& where);

// Throws InputError naming a target that is smaller than its rank, which is `rank` where it has
// none of its own.
void check_targets(const std::vector<QuantizeTarget>& targets, std::int64_t rank,
                   const quantized::ModelFiles& files);

}  // namespace qloft::pipeline
