#pragma once
// A teacher's outputs of the sequences of a run, kept in a file, so that teacher and student are
// never in memory together.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/io.h"
#include "qloft/model/teacher.h"
#include "qloft/pipeline/model_options.h"
#include "qloft/pipeline/recover.h"
#include "qloft/train/examples.h"
#include "qloft/train/sequence_pairs.h"

namespace qloft::pipeline {

struct TeacherRequest {
  ModelOptions model;  // of the teacher
  RecoveryLoss loss = RecoveryLoss::kl;
  std::int64_t logits = 0;                    // kept of each position, for kl
  std::filesystem::path folder;               // of the file
  std::optional<train::SequencePairs> pairs;  // of an encoder-decoder: the examples' sources
};

class TeacherOutputs {
 public:
  // Of all `examples`, from the file of this work in request.folder, which is made before where it
  // is not there: teacher-WORK.safetensors with, of example N, ids.N (I32) and log_probabilities.N
  // (F32), both [its predictions that count, logits], or states.N (BF16) [predictions, columns]. An
  // interrupted run of the same work is taken up at the next 16 sequences. Throws InputError for a
  // file of other work, Interrupted where progress asks to stop.
  TeacherOutputs(const TeacherRequest& request, const train::Examples& examples,
                 Progress& progress);

  // Of these examples, one after the other; for kl and for hidden.
  model::TeacherRows rows(const std::vector<std::int64_t>& examples) const;
  at::Tensor states(const std::vector<std::int64_t>& examples) const;

  // Which teacher and how: what else a run depends on beside its own options.
  const std::string& work() const { return name_; }
  std::uint64_t bytes() const;
  double seconds() const { return seconds_; }  // making them; 0: they were there

 private:
  double seconds_ = 0;
  std::string name_;
  io::SafetensorsFile file_;
};

}  // namespace qloft::pipeline
