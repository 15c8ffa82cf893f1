#pragma once
// One matrix of a model, read and decomposed as a job says.

#include <functional>

#include "qloft/decompose.h"
#include "quantize_job.h"

namespace qloft::pipeline {

struct DecomposedTarget {
  decompose::Recipe recipe;  // as it was used
  decompose::Decomposition result;
  double seconds = 0;
};

using AddDecomposed = std::function<void(const QuantizeTarget&, const DecomposedTarget&)>;

// Throws what decompose throws, naming model and matrix; ComputationError where an error is not
// finite.
DecomposedTarget decompose_target(const quantized::ModelFiles& files, const QuantizeTarget& target,
                                  const QuantizeJob& job);
// With these statistics in place of the job's.
DecomposedTarget decompose_target(const quantized::ModelFiles& files, const QuantizeTarget& target,
                                  const QuantizeJob& job, const decompose::Statistics& statistics);

}  // namespace qloft::pipeline
