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
#include "qloft/data/labelled.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/quantized/model_files.h"
#include "qloft/train/labelled.h"
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

// A task of labels with its examples.
struct LabelInputs {
  const data::LabelTask* task = nullptr;
  train::Labelled train;
  std::optional<train::Labelled> validation;
};

struct FinetuneInputs {
  std::filesystem::path folder;
  io::Json config;
  std::optional<quantized::ModelFiles> files;  // nullopt: from random weights
  architecture::Layout layout;
  train::Options training;
  TextSources sources;
  // One of both.
  std::optional<FinetuneData> data;
  std::optional<LabelInputs> labels;
};

FinetuneInputs open_inputs(const FinetuneOptions& options, Progress& progress);

}  // namespace qloft::pipeline
