#include "calibrate_sequences.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "calibrate_inputs.h"
#include "draw_pairs.h"
#include "framed_windows.h"
#include "qloft/core.h"
#include "qloft/core/fingerprint.h"
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

// Predictions that count, of a sequence.
double mean_predictions(const std::vector<data::Example>& examples) {
  std::int64_t sum = 0;
  for (const data::Example& example : examples) {
    sum +=
        std::ranges::count_if(example.loss_mask, [](std::uint8_t counts) { return counts != 0; });
  }
  return static_cast<double>(sum) / static_cast<double>(std::max<std::size_t>(1, examples.size()));
}

// Those of `all` at these places.
Sequences of_objective(const train::Examples& all, const train::Objective& objective,
                       const std::vector<std::int64_t>& places) {
  Sequences out;
  for (const std::int64_t place : places) {
    out.examples.push_back(all.get({place}).front());
  }
  out.next_tokens = false;
  out.predictions = mean_predictions(out.examples);
  out.add = [objective, places, examples = out.examples](model::Model& m, model::AdapterId adapter,
                                                         std::int64_t at,
                                                         const calibrate::SequenceSums& sums) {
    const auto i = static_cast<std::size_t>(at);
    train::Batch batch;
    batch.input = input_of(examples[i], m, adapter);
    batch.examples = {places[i]};
    calibrate::add_sequence(
        m, [&](model::Model& own) { return objective(own, batch); }, sums);
  };
  return out;
}

Sequences of_task(const CalibrateOptions& options, const ModelInputs& model, Progress& progress) {
  const evaluate::Task& task = evaluate::learned_task(options.task);
  const evaluate::Materials materials{model.files.layout(), model.tokenizer(), model.text.chat,
                                      model.files.source()};
  std::vector<evaluate::Setting> settings = settings_of(task, options.columns);
  evaluate::set(settings, "length", options.length);
  const evaluate::TrainingSet all = task.learn(materials, {options.data}, settings, {}, progress);
  return of_objective(all.examples, all.objective,
                      calibrate::draw_places(all.examples.size(), options.samples, options.seed));
}

// ------------------------------------------------------------------------------- pairs

Sequences of_pairs(const CalibrateOptions& options, const ModelInputs& model,
                   data::Omissions& omissions) {
  const Pairs drawn = draw_pairs(
      {options.data, options.random_tokens, options.samples, options.length, options.seed}, model);
  std::vector<std::int64_t> all(static_cast<std::size_t>(drawn.pairs.size()));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  omissions.truncated = drawn.truncated;
  return of_objective(drawn.pairs.examples(), drawn.pairs.objective(), all);
}

// ------------------------------------------------------------------------------- an encoder

std::vector<data::Example> encoder_windows(const CalibrateOptions& options,
                                           const ModelInputs& model) {
  std::vector<data::Example> all = framed_windows(options.data, options.length, model), out;
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
  out.predictions = kForetold * mean_predictions(out.examples);
  out.add = [examples = out.examples, mask, masked = out.has_loss, seed = options.seed](
                model::Model& m, model::AdapterId adapter, std::int64_t place,
                const calibrate::SequenceSums& sums) {
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
        sums);
  };
  return out;
}

}  // namespace

Sequences draw_sequences(const CalibrateOptions& options, const ModelInputs& model,
                         data::Omissions& omissions, Progress& progress) {
  const architecture::Layout& layout = model.files.layout();
  if (layout.encoder && !architecture::encodes(layout.head.kind)) {
    return of_pairs(options, model, omissions);
  }
  if (!options.task.empty()) return of_task(options, model, progress);
  if (!architecture::predicts_next_token(model.files.layout())) {
    return of_encoder(options, model, omissions);
  }
  Sequences out;
  out.examples = draw(options, model, omissions);
  out.add = [examples = out.examples](model::Model& m, model::AdapterId adapter, std::int64_t place,
                                      const calibrate::SequenceSums& sums) {
    calibrate::add_next_tokens(m, adapter, examples[static_cast<std::size_t>(place)], sums);
  };
  return out;
}

}  // namespace qloft::pipeline
