#include "calibrate_sequences.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <optional>
#include <utility>

#include "calibrate_inputs.h"
#include "qloft/core.h"
#include "qloft/core/file.h"
#include "qloft/core/fingerprint.h"
#include "qloft/data/known_ids.h"
#include "qloft/data/rows.h"
#include "qloft/evaluate.h"
#include "qloft/objectives.h"
#include "task_head.h"

namespace qloft::pipeline {
namespace {

using architecture::HeadKind;

// BERT's (Devlin et al. 2019, section 3.1).
constexpr double kForetold = 0.15, kMasked = 0.8, kReplaced = 0.1;

model::Input input_of(const data::Example& example, const model::Model& model,
                      model::AdapterId adapter) {
  const std::vector<std::int64_t> ids(example.ids.begin(), example.ids.end());
  return {.ids = at::tensor(ids, at::kLong).unsqueeze(0).to(model.device()), .adapters = {adapter}};
}

// ------------------------------------------------------------------------------- a task

Sequences of_task(const CalibrateOptions& options, const ModelInputs& model, Progress& progress) {
  const evaluate::Task& task = evaluate::learned_task(options.task);
  const evaluate::Materials materials{model.files.layout(), model.tokenizer(), model.text.chat,
                                      model.files.source()};
  std::vector<evaluate::Setting> settings = settings_of(task, options.columns);
  evaluate::set(settings, "length", options.length);
  const evaluate::TrainingSet all = task.learn(materials, {options.data}, settings, {}, progress);
  const auto places = calibrate::draw_places(all.examples.size(), options.samples, options.seed);
  Sequences out;
  for (const std::int64_t place : places) {
    out.examples.push_back(
        all.examples.get({all.examples.indices()[static_cast<std::size_t>(place)]}).front());
  }
  out.next_tokens = false;
  out.add = [objective = all.objective, places, examples = out.examples](
                model::Model& m, model::AdapterId adapter, std::int64_t at,
                calibrate::Fisher* fisher, calibrate::GramSums* grams) {
    const auto i = static_cast<std::size_t>(at);
    train::Batch batch;
    batch.input = input_of(examples[i], m, adapter);
    batch.examples = {places[i]};
    calibrate::add_sequence(
        m, [&](model::Model& own) { return objective(own, batch); }, fisher, grams);
  };
  return out;
}

// ------------------------------------------------------------------------------- an encoder

// Windows of a text with the tokens that the tokenizer adds around each.
std::vector<data::Example> encoder_windows(const CalibrateOptions& options,
                                           const ModelInputs& model) {
  const tokenizer::EncodeOptions format{.truncation = tokenizer::Truncation::only_first,
                                        .max_length = options.length};
  const tokenizer::Encoding found = model.tokenizer().encode(read_file(options.data), format);
  std::vector<data::Example> all;
  const auto take = [&](const tokenizer::Encoding& window) {
    data::expect_known_ids(window.ids, model.files.layout().vocabulary_size, model.tokenizer(),
                           {options.data, {}});
    data::Example example;
    example.ids = window.ids;
    for (const std::uint8_t special : window.special) example.loss_mask.push_back(special == 0);
    all.push_back(std::move(example));
  };
  take(found);
  // The last one is shorter than the others.
  for (const tokenizer::Encoding& window : found.overflow) {
    if (window.size() == found.size()) take(window);
  }
  std::vector<data::Example> out;
  for (const auto place : calibrate::draw_places(std::ssize(all), options.samples, options.seed)) {
    out.push_back(std::move(all[static_cast<std::size_t>(place)]));
  }
  return out;
}

// Some tokens are hidden behind masks, replaced by others or left, and foretold.
objectives::Loss masked_loss(model::Model& model, const model::Input& plain,
                             const data::Example& example, tokenizer::TokenId mask,
                             std::uint64_t seed) {
  Random random(seed);
  model::Input input = plain;
  const at::Tensor ids = plain.ids.cpu().clone();
  const at::Tensor labels = at::full(ids.sizes(), -1, at::kLong);
  auto* id = ids.data_ptr<std::int64_t>();
  auto* label = labels.data_ptr<std::int64_t>();
  const auto vocabulary = static_cast<std::uint64_t>(model.layout().vocabulary_size);
  for (std::size_t i = 0; i < example.ids.size(); ++i) {
    if (example.loss_mask[i] == 0 || random.uniform() >= kForetold) continue;
    label[i] = id[i];
    const double drawn = random.uniform();
    if (drawn < kMasked) {
      id[i] = mask;
    } else if (drawn < kMasked + kReplaced) {
      id[i] = static_cast<std::int64_t>(random.below(vocabulary));
    }
  }
  input.ids = ids.to(model.device());
  return objectives::masked_token(model, input, labels);
}

Sequences of_encoder(const CalibrateOptions& options, const ModelInputs& model,
                     data::Omissions& omissions) {
  Sequences out;
  const bool text = !options.random_tokens && !data::is_rows_file(options.data);
  out.examples = text ? encoder_windows(options, model) : draw(options, model, omissions);
  out.next_tokens = false;
  const auto& special = model.tokenizer().special_tokens();
  const auto named = special.find("mask_token");
  const std::optional<tokenizer::TokenId> mask =
      named == special.end() ? std::nullopt : model.tokenizer().token_id(named->second);
  out.has_loss = model.files.layout().head.kind == HeadKind::masked_token && mask.has_value();
  out.add = [examples = out.examples, mask, masked = out.has_loss, seed = options.seed](
                model::Model& m, model::AdapterId adapter, std::int64_t place,
                calibrate::Fisher* fisher, calibrate::GramSums* grams) {
    const data::Example& example = examples[static_cast<std::size_t>(place)];
    calibrate::add_sequence(
        m,
        [&](model::Model& own) -> objectives::Loss {
          const model::Input input = input_of(example, own, adapter);
          if (masked) {
            return masked_loss(own, input, example, *mask,
                               mix(seed, static_cast<std::uint64_t>(place)));
          }
          own.hidden(input);
          return {};
        },
        fisher, grams);
  };
  return out;
}

}  // namespace

Sequences draw_sequences(const CalibrateOptions& options, const ModelInputs& model,
                         data::Omissions& omissions, Progress& progress) {
  if (!options.task.empty()) return of_task(options, model, progress);
  if (!architecture::predicts_next_token(model.files.layout())) {
    return of_encoder(options, model, omissions);
  }
  Sequences out;
  out.examples = draw(options, model, omissions);
  out.add = [examples = out.examples](model::Model& m, model::AdapterId adapter, std::int64_t place,
                                      calibrate::Fisher* fisher, calibrate::GramSums* grams) {
    calibrate::add_fisher(m, adapter, examples[static_cast<std::size_t>(place)], *fisher, grams);
  };
  return out;
}

}  // namespace qloft::pipeline
