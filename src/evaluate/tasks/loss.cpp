// The mean negative log-likelihood, in natural log, of what the examples teach: answers,
// completions, or a whole text.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "finite.h"
#include "qloft/core/error.h"
#include "qloft/data.h"
#include "qloft/data/end_tokens.h"
#include "qloft/evaluate.h"
#include "qloft/train.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

struct LossOptions {
  std::int64_t limit = 0;
  std::int64_t batch = 16;
};

template <typename Visitor>
void visit_options(LossOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
}

void check_examples(const LossOptions& options, const fs::path& data, std::int64_t, Progress&) {
  expect_at_least(1, options.batch, "batch");
  if (!fs::is_regular_file(data)) throw InputError({data, {}}, "no such file");
}

struct LossData {
  fs::path file;
  data::DataSet set;
  train::Examples examples;
};

LossData read_rows(const Materials& materials, const LossOptions& options, const fs::path& file,
                   Progress& progress) {
  data::DataOptions format;
  const std::int64_t longest = materials.layout.max_positions;
  if (longest > 0) format.max_length = std::min(format.max_length, longest);
  format.vocabulary_size = materials.layout.vocabulary_size;
  format.end_token = data::end_tokens(materials.source.folder(), materials.tokenizer).appended;
  data::DataSet set({file}, data::ExampleReader(materials.tokenizer, materials.chat, format));
  const std::int64_t count = options.limit > 0 ? std::min(options.limit, set.size()) : set.size();
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  auto examples = train::read_examples(set, indices, progress);
  for (const std::string& note : examples.omissions().notes()) progress.warn(note);
  return {file, std::move(set), std::move(examples)};
}

Scores run_loss(const Subject& subject, const LossOptions& options, const LossData& data,
                Progress& progress) {
  const data::Omissions& omissions = data.examples.omissions();
  const double loss =
      train::validation_loss(subject.model, subject.adapter, data.examples, options.batch);
  for (const std::int64_t i : data.examples.indices()) {
    if (std::isfinite(loss)) break;
    const auto one = train::read_examples(data.set, {i}, progress);
    expect_finite(train::validation_loss(subject.model, subject.adapter, one, 1),
                  data.set.location(i));
  }
  expect_finite(loss, {data.file, {}});
  Scores scores;
  scores.set("loss", loss);
  scores.set("examples", static_cast<double>(data.examples.size()));
  scores.set("truncated_examples", static_cast<double>(omissions.truncated));
  scores.set("left_out_examples", static_cast<double>(omissions.left_out));
  return scores;
}

}  // namespace

Task loss_task() {
  Task row;
  row.name = "loss";
  row.in_recipe = "answers";
  row.scores = {
      {.key = "loss",
       .label = "mean loss",
       .decimals = 6,
       .compared = {{"answer loss", 4, "Loss on the answers", "loss"}}},
      {.key = "examples", .label = "examples", .unit = Unit::count},
      {.key = "truncated_examples", .label = "truncated", .unit = Unit::count},
      {.key = "left_out_examples", .label = "left out", .unit = Unit::count},
  };
  return make_task<LossOptions, check_examples, read_rows, run_loss>(std::move(row));
}

}  // namespace qloft::evaluate
