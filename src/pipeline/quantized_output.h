#pragma once
// The files that quantize writes, and what an interrupted run left of them.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "clock.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/decompose.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/quantized.h"
#include "quantize_job.h"

namespace qloft::pipeline {

// The job's matrices by the names of their weights.
std::map<std::string, quantized::MatrixEntry> entries_of(const QuantizeJob& job);
// The shapes of the modules that get an adapter.
std::map<std::string, adapter::Writer::Shape> modules_of(const QuantizeJob& job);
// The tensors of the model that hold quantized matrices, and so are not in the output.
std::set<std::string> replaced_tensors(const quantized::ModelFiles& files, const QuantizeJob& job);

// The files of one run, written in step, so that each matrix is in all of them or done again.
class QuantizedOutput {
 public:
  QuantizedOutput(const QuantizeJob& job, const quantized::ModelFiles& files, OutputFolder& folder);

  // By the names of their weights.
  const std::map<std::string, QuantizedMatrix>& done() const { return done_; }
  checkpoint::Writer& writer() { return *writer_; }

  void add(const QuantizeTarget& target, const decompose::Decomposition& result,
           QuantizedMatrix matrix);
  // Factors and report first: what the writer's journal lists is whole everywhere.
  void flush();

 private:
  OutputFolder& folder_;
  std::optional<adapter::Writer> adapter_;
  std::optional<checkpoint::Writer> writer_;
  std::map<std::string, QuantizedMatrix> done_;
  Clock::time_point flushed_ = Clock::now();
};

}  // namespace qloft::pipeline
