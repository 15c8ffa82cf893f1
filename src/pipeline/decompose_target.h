#pragma once
// One matrix of a model, read and decomposed as a job says.

#include "qloft/decompose.h"
#include "quantize_job.h"

namespace qloft::pipeline {

struct DecomposedTarget {
  decompose::Recipe recipe;  // as it was used
  decompose::Decomposition result;
  double seconds = 0;
};

// Throws what decompose throws, naming model and matrix; ComputationError where an error is not
// finite.
DecomposedTarget decompose_target(const quantized::ModelFiles& files, const QuantizeTarget& target,
                                  const QuantizeJob& job);

}  // namespace qloft::pipeline
