#pragma once
// What recover begins with, but for weights and teacher's outputs.

#include <optional>
#include <string_view>
#include <vector>

#include "load.h"
#include "qloft/data.h"
#include "qloft/data/omissions.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/recover.h"
#include "qloft/train/examples.h"
#include "qloft/train/sequence_pairs.h"
#include "teacher.h"

namespace qloft::pipeline {

struct RecoverInputs {
  ModelInputs student;
  TeacherRequest teacher;  // but for the folder
  train::Options training;
  data::Omissions omissions;
  train::Examples examples;  // that are learned
  // Those and, behind them, others of the same data that show what was won; the same where there
  // are none.
  train::Examples all;
  std::optional<train::SequencePairs> pairs;  // of an encoder-decoder: the examples' sources
};

// Throws InputError for a student that is not quantized, a teacher of other shapes, and data that
// are none.
RecoverInputs open_inputs(const RecoverOptions& options, Progress& progress);

// Whether train_parts name it; and the norms and biases that they mean.
bool trains(const RecoverOptions& options, std::string_view part);
std::vector<architecture::ParameterId> trained_vectors(const RecoverOptions& options,
                                                       const architecture::Layout& layout);

// The same of the adapter, as finetune takes it.
FinetuneOptions as_finetune(const RecoverOptions& options);

}  // namespace qloft::pipeline
