#include "finetune_inputs.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "finetune_adapter.h"
#include "finetune_weights.h"
#include "load.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/core/text.h"
#include "qloft/data/end_tokens.h"
#include "task_head.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

FinetuneData read_data(const FinetuneOptions& options, const Tokenization& text,
                       const fs::path& model_folder, std::int64_t vocabulary, std::int64_t length) {
  data::DataOptions data_options;
  data_options.max_length = length;
  data_options.vocabulary_size = vocabulary;
  data_options.end_token = data::end_tokens(model_folder, text.tokenizer).appended;
  const data::ExampleReader reader(text.tokenizer, text.chat, data_options);
  data::DataSet set(options.data, reader);
  if (!options.validation) {
    auto split = set.split(options.validation_share, options.train.seed);
    return {std::move(set), std::move(split)};
  }
  // One set of all files: the rows of the validation file follow the others.
  std::vector<fs::path> files = options.data;
  files.push_back(*options.validation);
  data::DataSet all(files, reader);
  data::DataSet::Split split;
  split.train.resize(static_cast<std::size_t>(set.size()));
  split.validation.resize(static_cast<std::size_t>(all.size() - set.size()));
  std::iota(split.train.begin(), split.train.end(), std::int64_t{0});
  std::iota(split.validation.begin(), split.validation.end(), set.size());
  refuse(split.validation.empty(), "validation", "the validation file has no rows");
  return {std::move(all), std::move(split)};
}

// The task that the options name; null: none.
const evaluate::Task* task_of(const FinetuneOptions& options) {
  return options.task.empty() ? nullptr : &evaluate::learned_task(options.task);
}

bool has_setting(const evaluate::Task* task, std::string_view flags) {
  return task != nullptr &&
         std::ranges::any_of(task->settings, [&](const auto& one) { return one.flags == flags; });
}

// Options that are those of some tasks alone.
void check_task_options(const FinetuneOptions& o, const evaluate::Task* task) {
  const FinetuneOptions defaults;
  expect_own_columns(task, o.columns);
  refuse(o.stride < 0, "stride", "expected 0 or more, found " + std::to_string(o.stride));
  refuse(o.stride != defaults.stride && !has_setting(task, "--stride"), "stride",
         "expected it with the task squad or squad_v2");
  refuse(o.summary_length < 0, "summary_length",
         "expected 0 or more, found " + std::to_string(o.summary_length));
  refuse(o.summary_length != defaults.summary_length && !has_setting(task, "--summary-length"),
         "summary_length", "expected it with the task summarization");
  refuse(!o.prefix.empty() && !has_setting(task, "--prefix"), "prefix",
         "expected it with the task summarization");
  const auto with_summaries = [&](bool given, const char* flag, const char* option) {
    refuse(given && !has_setting(task, flag), option, "expected it with the task summarization");
  };
  with_summaries(!o.source_language.empty(), "--source-language", "source_language");
  with_summaries(!o.target_language.empty(), "--target-language", "target_language");
  refuse(o.num_beams < 0, "num_beams", "expected 0 or more, found " + std::to_string(o.num_beams));
  with_summaries(o.num_beams != defaults.num_beams, "--num-beams", "num_beams");
  refuse(!(o.label_smoothing >= 0 && o.label_smoothing < 1), "label_smoothing",
         "expected a number from 0 to below 1");
  refuse(o.label_smoothing > 0 && !(task != nullptr && task->label_smoothing), "label_smoothing",
         "expected it with the task summarization");
}

TaskInputs read_task(const evaluate::Task& task, const FinetuneOptions& options,
                     const FinetuneInputs& inputs, Progress& progress) {
  const evaluate::Materials materials{inputs.layout, inputs.text.tokenizer, inputs.text.chat,
                                      inputs.source()};
  evaluate::Request request{options.validation.value_or(fs::path()),
                            settings_of(task, options.columns)};
  evaluate::set(request.settings, "length", inputs.training.length);
  evaluate::set(request.settings, "batch", inputs.training.batch);
  evaluate::set(request.settings, "stride", options.stride);
  evaluate::set(request.settings, "summary_length", options.summary_length);
  evaluate::set(request.settings, "prefix", options.prefix);
  evaluate::set(request.settings, "source_language", options.source_language);
  evaluate::set(request.settings, "target_language", options.target_language);
  evaluate::set(request.settings, "num_beams", options.num_beams);
  evaluate::TrainingSet train =
      task.learn(materials, options.data, request.settings, {options.label_smoothing}, progress);
  evaluate::Prepared validation;
  if (options.validation) {
    task.check(request, inputs.layout.max_positions, progress);
    validation = task.prepare(materials, request, progress);
  }
  return {&task, std::move(train), std::move(request), std::move(validation)};
}

// The head that the model is given for the task; nullopt: none.
std::optional<architecture::HeadRequest> head_to_learn(const evaluate::Task* task,
                                                       const FinetuneOptions& options) {
  if (task == nullptr) return std::nullopt;
  const checkpoint::Checkpoint source(checkpoint::resolve(options.model));
  std::optional<fs::path> adapter;
  if (options.method == "lora") adapter = adapter_folder(source, adapter_options(options));
  return head_for(*task, settings_of(*task, options.columns), source.folder(), adapter,
                  options.data);
}

// The first of them, where they are many.
std::string listed(const std::vector<std::string>& labels) {
  constexpr std::size_t kMost = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(labels.size(), kMost); ++i) {
    text += (i == 0 ? "" : ", ") + labels[i];
  }
  if (labels.size() > kMost) text += " and " + std::to_string(labels.size() - kMost) + " others";
  return text;
}

// Those beside the adapter that is continued, or of --tokenizer.
TextSources sources_of(const FinetuneOptions& options, const fs::path& folder,
                       const std::optional<quantized::ModelFiles>& files) {
  if (options.tokenizer) return text_sources(*options.tokenizer, {}, options.chat_template);
  std::optional<fs::path> adapter;
  if (files && options.method == "lora") {
    adapter = adapter_folder(files->source(), adapter_options(options));
  }
  return text_sources(folder, adapter, options.chat_template);
}

}  // namespace

void check_finetune(const FinetuneOptions& o) {
  check_arithmetic({o.dtype, o.matmul}, o.device);
  const bool lora = o.method == "lora";
  refuse(!lora && o.method != "full", "method", "expected lora or full, found '" + o.method + "'");
  refuse(o.data.empty(), "data", "expected at least one file");
  refuse(o.show < 0, "show", "expected 0 or more");
  if (task_of(o) != nullptr) {
    refuse(o.show > 0, "show", "expected none with a task");
    refuse(o.validation_share != 0, "validation_share", "expected a validation file with a task");
    const auto& head = task_of(o)->head;
    refuse(o.from_random && head && head->kind != architecture::HeadKind::sequence_to_sequence,
           "from_random", "expected a model to begin with for a head on top of it");
    refuse(o.train.batching == data::Batching::packed, "batching",
           "expected padded rows for a task, found packed");
  }
  check_task_options(o, task_of(o));
  refuse(o.validation && o.validation_share != 0, "validation_share",
         "expected a validation file or a share of the data, found both");
  refuse(o.from_random && lora, "from_random", "only --method full trains from random weights");
  refuse(!lora && (o.adapter || o.fresh || o.rank || o.alpha || o.rslora || o.dropout ||
                   !o.target_modules.empty()),
         "method", "full trains no adapter: its options (adapter, rank, ...) need --method lora");
  refuse(!lora && o.train.loraplus_lr_ratio != 1, "loraplus_lr_ratio",
         "full trains no adapter, whose B has a rate of its own with --method lora");
  refuse(o.adapter && o.fresh, "fresh", "expected an adapter to continue or a fresh one");
  refuse(o.rank && *o.rank < 1, "rank", "expected at least 1");
  refuse(o.alpha && !(std::isfinite(*o.alpha) && *o.alpha > 0), "alpha",
         "expected a number above 0");
  refuse(o.alpha && *o.alpha > std::numeric_limits<float>::max(), "alpha",
         "expected a number that f32 holds");
  refuse(o.dropout && !(*o.dropout >= 0 && *o.dropout < 1), "dropout",
         "expected a number from 0 to below 1");
  refuse(o.save_dtype && lora && !adapter::storage_from_name(*o.save_dtype), "save_dtype",
         "expected f32, bf16, f16, f8 or nf8, found '" + o.save_dtype.value_or("") + "'");
  if (!lora && o.save_dtype) weight_type_named(*o.save_dtype);
  refuse(!lora && o.matmul == "int8", "matmul",
         "the weights that full trains are multiplied in float, found '" + o.matmul + "'");
  o.train.validate();
}

FinetuneInputs open_inputs(const FinetuneOptions& options, Progress& progress) {
  const fs::path folder = checkpoint::resolve(options.model);
  const fs::path config_file = folder / "config.json";
  io::Json config = io::read_json(config_file);
  const evaluate::Task* task = task_of(options);
  std::optional<quantized::ModelFiles> files;
  if (!options.from_random) {
    files.emplace(open_files(folder, head_to_learn(task, options), options.train.seed));
  }
  architecture::Layout layout =
      files ? files->layout() : architecture::read_layout(config, config_file);
  if (task == nullptr) {
    architecture::expect_next_token(layout, config_file);
  } else if (!files && task->head) {
    architecture::expect_head(layout, *task->head, config_file);
  }
  if (files) config = files->config();
  train::Options training = options.train;
  if (layout.max_positions > 0 && training.length > layout.max_positions) {
    training.length = layout.max_positions;
    progress.note("length " + std::to_string(training.length) +
                  ": the model has no more positions");
  }
  if (options.method == "lora" && !adapter_folder(files->source(), adapter_options(options))) {
    check_fresh_adapter(layout, options);
  }
  Tokenization text = load_tokenization(sources_of(options, folder, files), layout.vocabulary_size);
  std::optional<checkpoint::Checkpoint> bare;
  if (!files) bare = checkpoint::Checkpoint::without_tensors(folder);
  FinetuneInputs inputs{folder,
                        std::move(config),
                        std::move(files),
                        std::move(bare),
                        std::move(layout),
                        std::move(training),
                        std::move(text),
                        {},
                        {}};
  if (task != nullptr) {
    inputs.task = read_task(*task, options, inputs, progress);
    const architecture::Head& head = inputs.layout.head;
    if (task->find_head != nullptr && head.problem == architecture::Problem::single_label) {
      progress.note("labels: " + listed(head.labels));
    }
  } else {
    inputs.data = read_data(options, inputs.text, folder, inputs.layout.vocabulary_size,
                            inputs.training.length);
  }
  return inputs;
}

void check_training_data(const FinetuneOptions& options, Progress& progress) {
  check_finetune(options);
  FinetuneOptions asked = options;
  if (!asked.task.empty()) {
    open_inputs(asked, progress);
    return;
  }
  asked.show = 1;  // all of them are read
  show_examples(asked, progress);
}

}  // namespace qloft::pipeline
