#pragma once
// What finetune begins with, but for weights and adapter: options that fit each other, the layout,
// the tokenizer and the data.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "qloft/core/progress.h"
#include "qloft/data.h"
#include "qloft/evaluate.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/quantized/model_files.h"
#include "tokenization.h"

namespace qloft::pipeline {

// Throws InputError at the option `field`.
inline void refuse(bool wrong, std::string_view field, std::string_view message) {
  if (wrong) throw InputError({{}, std::string(field)}, message);
}

struct FinetuneData {
  data::DataSet set;
  data::DataSet::Split split;
};

// A task that is learned by its name, and what its best model is found by.
struct TaskInputs {
  const evaluate::Task* task = nullptr;
  evaluate::TrainingSet train;
  evaluate::Request request;      // of the validation file
  evaluate::Prepared validation;  // null: there is none
};

struct FinetuneInputs {
  std::filesystem::path folder;
  io::Json config;
  std::optional<quantized::ModelFiles> files;  // nullopt: from random weights
  std::optional<checkpoint::Checkpoint> bare;  // of these: the folder without tensors
  architecture::Layout layout;
  train::Options training;
  Tokenization text;
  // One of both.
  std::optional<FinetuneData> data;
  std::optional<TaskInputs> task;

  const checkpoint::Checkpoint& source() const { return files ? files->source() : *bare; }
};

FinetuneInputs open_inputs(const FinetuneOptions& options, Progress& progress);

}  // namespace qloft::pipeline
