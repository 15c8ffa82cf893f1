#include "calibrate_inputs.h"

#include <algorithm>
#include <span>

#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "qloft/core/fingerprint.h"
#include "qloft/data/end_tokens.h"
#include "qloft/data/known_ids.h"
#include "qloft/data/rows.h"

namespace qloft::pipeline {

std::vector<data::Example> random_examples(const ModelInputs& model, std::int64_t samples,
                                           std::int64_t length, std::uint64_t seed) {
  std::vector<tokenizer::TokenId> ids;
  const std::int64_t end =
      std::min(model.files.layout().vocabulary_size, model.tokenizer().vocabulary_size());
  for (tokenizer::TokenId id = 0; id < end; ++id) {
    if (!model.tokenizer().is_special(id)) ids.push_back(id);
  }
  if (ids.empty()) {
    throw InputError({model.files.folder(), {}}, "its tokenizer has no tokens to draw from");
  }
  return calibrate::random_sequences(ids, samples, length, seed);
}

std::vector<data::Example> draw(const CalibrateOptions& options, const ModelInputs& model,
                                data::Omissions& omissions) {
  const std::int64_t vocabulary = model.files.layout().vocabulary_size;
  if (options.random_tokens) {
    return random_examples(model, options.samples, options.length, options.seed);
  }
  if (!data::is_rows_file(options.data)) {
    const auto ids = data::read_text_ids(options.data, vocabulary, model.tokenizer());
    if (std::ssize(ids) < options.length) {
      throw InputError({options.data, {}}, "expected at least one sequence of " +
                                               std::to_string(options.length) + " tokens, found " +
                                               std::to_string(ids.size()));
    }
    return calibrate::windows(ids, options.samples, options.length, options.seed);
  }
  data::DataOptions format;
  format.max_length = options.length;
  format.vocabulary_size = vocabulary;
  format.end_token = data::end_tokens(model.files.folder(), model.tokenizer()).appended;
  const data::DataSet data({options.data},
                           data::ExampleReader(model.tokenizer(), model.text.chat, format));
  const auto chosen = calibrate::draw_places(data.size(), options.samples, options.seed);
  std::vector<data::Example> examples = data.get(chosen);
  for (std::size_t i = 0; i < chosen.size(); ++i) omissions.add(data, chosen[i], examples[i]);
  return examples;
}

void say_where_tokens_are_few(const architecture::Layout& layout, std::int64_t tokens,
                              Progress& progress) {
  std::int64_t widest = 0;
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    widest = std::max(widest, layout.parameter(id).columns());
  }
  if (tokens >= widest) return;
  progress.warn(std::to_string(tokens) + " tokens are fewer than the " + std::to_string(widest) +
                " inputs of the widest matrix: its Gram matrix is singular and will be damped; "
                "more --samples or a greater --length would help");
}

std::string fingerprint_of(const std::vector<data::Example>& examples) {
  std::uint64_t hash = examples.size();
  for (const data::Example& example : examples) {
    hash = mix(mix(hash, std::as_bytes(std::span(example.ids))),
               std::as_bytes(std::span(example.loss_mask)));
  }
  return hex(hash);
}

}  // namespace qloft::pipeline
