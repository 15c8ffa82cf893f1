// The mean negative log-likelihood, in natural log, of what the examples teach: answers,
// completions, or a whole text.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

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

Scores run_loss(const Subject& subject, const LossOptions& options, const fs::path& file,
                Progress& progress) {
  data::DataOptions format;
  const std::int64_t longest = subject.model.layout().max_positions;
  if (longest > 0) format.max_length = std::min(format.max_length, longest);
  format.vocabulary_size = subject.model.layout().vocabulary_size;
  format.end_token = data::end_tokens(subject.source.folder(), subject.tokenizer).appended;
  const data::DataSet data({file}, data::ExampleReader(subject.tokenizer, subject.chat, format));
  const std::int64_t examples =
      options.limit > 0 ? std::min(options.limit, data.size()) : data.size();
  std::vector<std::int64_t> indices(static_cast<std::size_t>(examples));
  std::iota(indices.begin(), indices.end(), 0);
  data::Omissions omissions;
  const double loss = train::validation_loss(subject.model, subject.adapter, data, indices,
                                             options.batch, &omissions);
  for (const std::string& note : omissions.notes()) progress.warn(note);
  for (std::int64_t i = 0; !std::isfinite(loss) && i < examples; ++i) {
    const data::Example example = data.get(i);
    if (std::ranges::count(example.loss_mask, 0) == std::ssize(example.loss_mask)) continue;
    expect_finite(train::validation_loss(subject.model, subject.adapter, data, {i}, 1),
                  data.location(i));
  }
  expect_finite(loss, {file, {}});
  Scores scores;
  scores.set("loss", loss);
  scores.set("examples", static_cast<double>(examples - omissions.left_out));
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
  return make_task<LossOptions, check_examples, run_loss>(std::move(row));
}

}  // namespace qloft::evaluate
