#pragma once
// What quantize's options mean for one model: the matrices and the recipe.

#include <optional>
#include <string>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/decompose.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/quantized.h"
#include "qloft/statistics.h"

namespace qloft::pipeline {

struct QuantizeTarget {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool adapted = false;  // gets low-rank factors: linear layers do, the embedding does not
  std::string input_of;  // the module with the same input whose name its Gram matrix bears

  std::string weight() const { return module + ".weight"; }
};

struct QuantizePlan {
  decompose::Recipe recipe;  // of the adapted matrices
  adapter::Config adapter;
  ElementType adapter_type = ElementType::f32;
  std::vector<QuantizeTarget> targets;         // in the order of the forward pass
  std::optional<statistics::File> statistics;  // where the metric needs them

  bool has_adapter() const;
};

// Checks options, architecture and the shapes of all tensors; throws InputError as quantize says.
QuantizePlan plan_quantize(const QuantizeOptions& options, const checkpoint::Checkpoint& source);

// Everything that the plan's output depends on but the model.
io::Json to_json(const QuantizePlan& plan);

}  // namespace qloft::pipeline
