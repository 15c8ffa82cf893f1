#pragma once
// What a task of labels is scored by, in training and in evaluation.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/data/labelled.h"
#include "qloft/evaluate/score.h"
#include "qloft/model.h"
#include "qloft/train/labelled.h"

namespace qloft::evaluate {

struct LabelMetric {
  std::string key, label;
  bool share = false;  // from 0 to 1, shown in per cent
};

// GLUE's (Wang et al. 2019): Matthews' correlation for cola, accuracy and F1 for mrpc and qqp,
// Pearson's and Spearman's correlation of numbers, else accuracy. The first is what early stops and
// the best checkpoint go by.
std::vector<LabelMetric> label_metrics_of(const data::LabelTask& task);

// All of them, and the mean loss. Leaves the model out of training mode. Throws ComputationError
// where a score of the head is not finite.
Scores label_metrics(const data::LabelTask& task, model::Model& model, model::AdapterId adapter,
                     const train::Labelled& examples, std::int64_t batch);

// Throws InputError naming config.json in `folder` for a model whose head has not the task's
// labels.
void expect_head(const data::LabelTask& task, const architecture::Layout& layout,
                 const std::filesystem::path& folder);
bool has_head_for(const data::LabelTask& task, const architecture::Layout& layout);

// Of an example: `asked`, and not more than the model's positions.
std::int64_t label_length(std::int64_t asked, const architecture::Layout& layout);

}  // namespace qloft::evaluate
