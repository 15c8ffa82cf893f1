#include <utility>

#include "finetune_inputs.h"
#include "qloft/data/omissions.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/train/placement.h"

namespace qloft::pipeline {
namespace {

// What each id adds to the text; nothing where a character is not whole yet.
std::vector<std::string> pieces_of(const tokenizer::Tokenizer& tokenizer,
                                   const std::vector<tokenizer::TokenId>& ids) {
  tokenizer::StreamDecoder decoder(tokenizer, false);
  std::vector<std::string> pieces;
  pieces.reserve(ids.size());
  for (const tokenizer::TokenId id : ids) pieces.push_back(decoder.push(id));
  if (!pieces.empty()) pieces.back() += decoder.finish();
  return pieces;
}

}  // namespace

ShowReport show_examples(const FinetuneOptions& options, Progress& progress) {
  check_finetune(options);
  refuse(options.show < 1, "show", "expected at least 1");
  const FinetuneInputs inputs = open_inputs(options, progress);
  const data::DataSet& data = inputs.data->set;
  const std::vector<std::int64_t>& indices = inputs.data->split.train;
  const tokenizer::Tokenizer& tokenizer = data.reader().tokenizer();
  const train::Placements placements =
      train::place_examples(data, indices, options.show, inputs.training, progress);
  ShowReport report;
  for (const std::string& note : placements.omissions.notes()) progress.warn(note);
  report.truncated_examples = placements.omissions.truncated;
  report.skipped_examples = placements.omissions.left_out;
  report.endless_examples = placements.omissions.endless;
  report.examples = std::ssize(indices);
  report.tokens = placements.tokens;
  report.learned = placements.predictions;
  report.steps_per_epoch = placements.steps_per_epoch;
  report.steps = placements.steps;
  for (std::size_t i = 0; i < placements.first.size(); ++i) {
    const data::Example example = data.get(indices[i]);
    const ErrorLocation at = data.location(indices[i]);
    ShownExample& shown = report.shown.emplace_back();
    shown.file = at.file;
    shown.location = at.field;
    shown.tokens = pieces_of(tokenizer, example.ids);
    shown.ids = example.ids;
    shown.learned = example.loss_mask;
    if (!shown.learned.empty()) shown.learned.front() = 0;  // nothing stands before it
    shown.truncated = example.truncated;
    shown.dropped = example.dropped;
    shown.left_out = !data::has_prediction(example);
    shown.endless = example.endless;
    if (const auto& at_step = placements.first[i]) {
      shown.step = at_step->step + 1;
      shown.micro_batch = at_step->micro_batch + 1;
      shown.row = at_step->row + 1;
      shown.column = at_step->column;
    }
  }
  return report;
}

}  // namespace qloft::pipeline
