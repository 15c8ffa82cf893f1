#include "columns.h"

#include <filesystem>

#include "qloft/evaluate/task.h"

namespace qloft::compare {

void settle_columns(TaskSpec& spec, std::vector<RowSpec>& rows, const Options& options) {
  if (spec.task->find_head == nullptr) return;
  std::vector<std::filesystem::path> learned;
  if (!options.train.empty()) learned.push_back(options.train);
  pipeline::EvaluateOptions own_model = spec.options;
  own_model.model.model = options.model;
  const auto columns = pipeline::named_columns(own_model, learned);
  evaluate::set(spec.options.settings, "labels", columns.labels);
  const auto settle = [&](auto& stage) {
    if (stage.task != spec.task->name) return;
    auto& own = stage.columns;
    if (own.text.empty()) own.text = columns.text;
    if (own.label.empty()) own.label = columns.label;
    if (own.labels.empty()) own.labels = columns.labels;
  };
  for (RowSpec& row : rows) {
    if (row.tune) settle(*row.tune);
    if (row.calibrate) settle(*row.calibrate);
  }
}

}  // namespace qloft::compare
