#pragma once
// What quantize's options mean for one model: the matrices and the recipe.

#include <optional>
#include <string>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/decompose.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/statistics.h"
#include "targets.h"

namespace qloft::pipeline {

struct QuantizeJob {
  // Of the adapted matrices: each target has a format of its own, and by a plan a rank, of which
  // the recipe has the largest.
  decompose::Recipe recipe;
  adapter::Config adapter;
  ElementType adapter_type = ElementType::f32;
  std::vector<QuantizeTarget> targets;         // in the order of the forward pass
  std::optional<statistics::File> statistics;  // where the metric needs them
  std::string statistics_fingerprint;

  bool has_adapter() const;
  std::string format_text() const;  // of the targets, for reports: one, or how many
  std::string rank_text() const;    // "rank 16", "ranks 8 to 64"
};

// Whether it is a model that has quantized inputs: one whose sequences go through one block after
// the other.
bool takes_quantized_inputs(const architecture::Layout& layout);

// Checks options against the model; throws InputError as quantize says.
QuantizeJob job_of(const QuantizeOptions& options, const quantized::ModelFiles& files);

// Everything that the job's output depends on but the model.
io::Json to_json(const QuantizeJob& job);

}  // namespace qloft::pipeline
