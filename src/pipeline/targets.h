#pragma once
// The matrices of a model that quantize and plan work on.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/decompose.h"
#include "qloft/quant.h"
#include "qloft/statistics.h"

namespace qloft::pipeline {

struct QuantizeTarget {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool adapted = false;  // gets low-rank factors: linear layers do, the embedding does not
  std::string input_of;  // the module with the same input whose name its Gram matrix bears
  quant::Format format;  // that quantize stores it in

  std::string weight() const { return module + ".weight"; }
};

// The architecture of a model that can be quantized. Throws InputError for one that is quantized
// already, or whose tensors are missing or misshapen.
model::Architecture read_dense_architecture(const checkpoint::Checkpoint& source);

// The linear layers of the decoder, or every matrix that `modules` names by the end of its name, in
// the order of the forward pass. A name that the model lacks is an InputError at `where`.
std::vector<QuantizeTarget> targets_of(const std::vector<std::string>& modules,
                                       const model::Architecture& architecture,
                                       const ErrorLocation& where);

// Throws InputError naming a target whose weights are no floats, or that is smaller than `rank`.
void check_targets(const std::vector<QuantizeTarget>& targets, std::int64_t rank,
                   const checkpoint::Checkpoint& source);

// The statistics that `metric` needs; nullopt: none. Throws InputError where no file is given, or
// one of another model.
std::optional<statistics::File> open_statistics(const std::filesystem::path& file,
                                                decompose::Metric metric,
                                                const checkpoint::Checkpoint& source);

// What of them is known of a linear layer; nothing without a file.
decompose::Statistics statistics_of(const QuantizeTarget& target,
                                    const std::optional<statistics::File>& file,
                                    decompose::Metric metric);

}  // namespace qloft::pipeline
