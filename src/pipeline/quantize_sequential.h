#pragma once
// quantize --inputs quantized: each matrix on the inputs that the quantized ones before it give.

#include <span>
#include <vector>

#include "calibrate_sequences.h"
#include "decompose_target.h"
#include "load.h"
#include "qloft/calibrate.h"
#include "qloft/calibrate/sequential.h"
#include "qloft/core/progress.h"
#include "qloft/io.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/output.h"
#include "quantize_job.h"
#include "quantized_output.h"

namespace qloft::pipeline {

// What a run depends on beside the job: the sequences, and the arithmetic that they are computed
// in.
io::Json sequential_work(const CalibrateOptions& calibration);

class SequentialQuantizer {
 public:
  // Draws the sequences, loads the model and takes them through it where their tokens count by the
  // loss. What is referred to is to outlive this. Throws Interrupted where progress asks to stop.
  SequentialQuantizer(const CalibrateOptions& calibration, const quantized::ModelFiles& files,
                      const QuantizeJob& job, OutputFolder& folder, Progress& progress);

  // Decomposes the job's matrices in the order of the forward pass and gives each to `add`. The
  // states between two blocks stand in the folder: a run that goes on there begins with the last
  // block before which they were kept, and gives matrices of it that were done once more, to the
  // same bytes. Throws Interrupted where progress asks to stop, and what `add` throws.
  void run(QuantizedOutput& output, const AddDecomposed& add, Progress& progress);

 private:
  void quantize(std::span<const QuantizeTarget> group, const AddDecomposed& add,
                Progress& progress);
  void finish(const QuantizeTarget& target, const DecomposedTarget& one, const AddDecomposed& add);
  void go_on(const QuantizedOutput& output);

  const quantized::ModelFiles& files_;
  const QuantizeJob& job_;
  OutputFolder& folder_;
  bool by_loss_;  // what tokens count
  Sequences sequences_;
  LoadedModel loaded_;
  calibrate::KeptWeights weights_;
  calibrate::SequentialInputs inputs_;
};

}  // namespace qloft::pipeline
