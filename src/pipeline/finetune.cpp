#include "qloft/pipeline/finetune.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "finetune_adapter.h"
#include "finetune_inputs.h"
#include "finetune_weights.h"
#include "load.h"
#include "qloft/architecture.h"
#include "qloft/checkpoint/weight_type.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/fingerprint.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/resume.h"
#include "qloft/quantized/model_files.h"
#include "qloft/train.h"
#include "store_adapter.h"
#include "suspects.h"
#include "task_head.h"
#include "training_output.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

using architecture::Layout;

// ------------------------------------------------------------------------------- output

OutputRequest output_of(const FinetuneOptions& o) {
  OutputRequest request{.output = o.output,
                        .overwrite = o.overwrite,
                        .resume = o.train.resume,
                        .command = "finetune",
                        .inputs = o.data};
  request.inputs.insert(request.inputs.end(),
                        {checkpoint::resolve(o.model), o.validation.value_or(""), o.chat_template,
                         o.adapter.value_or(""), o.tokenizer.value_or("")});
  return request;
}

// A run that is done is taken up, so that more steps can follow: the state last, for what it is
// with must be whole.
void take_up_finished(OutputFolder& output) {
  const fs::path& from = output.target();
  const fs::path state = fs::path(kTrainingFolder) / kTrainingState;
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    const fs::path name = entry.path().lexically_relative(from);
    if (entry.is_directory()) {
      make_folders(output.path() / name);
    } else if (name != state) {
      copy_file_whole(entry.path(), output.path() / name);
    }
  }
  copy_file_whole(from / state, output.path() / state);
}

void expect_as_asked(const OutputFolder& output, const FinetuneOptions& options) {
  expect_mentioned(output, options.train.resume, options.overwrite);
  if (!options.train.resume || has_saved_steps(output.path())) return;
  if (!has_saved_steps(output.target())) {
    throw InputError({output.target(), {}}, "there is no saved run to resume");
  }
}

// What a resumed run must share beside the training options.
std::string setup_of(const FinetuneOptions& options, const adapter::Config* config) {
  std::string setup = options.method + " in " + options.dtype;
  if (options.matmul != "float") setup += ", products in " + options.matmul;
  if (!options.chat_template.empty()) {
    setup += ", chat template " + template_fingerprint(options.chat_template);
  }
  if (config == nullptr) return setup;
  const auto number = [](double value) { return io::Json(value).dump(); };
  return setup + ", rank " + std::to_string(config->rank) + ", alpha " + number(config->alpha) +
         (config->rslora ? " (rslora)" : "") + ", dropout " + number(config->dropout);
}

// What stands beside trained weights of `type`.
void write_beside_weights(const FinetuneInputs& inputs, ElementType type, const fs::path& folder) {
  io::Json config = inputs.config;
  checkpoint::set_weight_type(config, type);
  io::write_json(folder / "config.json", config);
  checkpoint::copy_generation_config(inputs.folder, folder);
  copy_texts(inputs.text.sources, folder);
}

// What stands beside an adapter: of an encoder what its head is for, which else nothing there says.
void write_beside_adapter(const FinetuneInputs& inputs, const fs::path& folder) {
  copy_texts_beside_adapter(inputs.text.sources, folder);
  if (!inputs.task || !architecture::encodes(inputs.layout)) return;
  io::Json config = inputs.config;
  config.erase("quantization_config");
  io::write_json(folder / kHeadFile, config);
}

// The files whose values a run computes with.
std::vector<fs::path> read_by(const FinetuneInputs& inputs, const FinetuneOptions& options,
                              const train::Options& training) {
  std::vector<fs::path> read;
  if (training.resume) read.push_back(training.folder / kTrainingState);
  if (!inputs.files) return read;
  read.push_back(inputs.folder);
  if (options.method != "lora") return read;
  const auto adapter = adapter_folder(inputs.files->source(), adapter_options(options));
  if (adapter) read.push_back(*adapter);
  return read;
}

// The first score of the task.
std::optional<train::Validation> validation_of(const FinetuneInputs& inputs,
                                               model::AdapterId adapter) {
  if (!inputs.task || !inputs.task->validation) return std::nullopt;
  const evaluate::ScoreInfo& score = inputs.task->task->scores.front();
  return train::Validation{
      score.key,
      [&inputs, adapter, key = score.key](model::Model& model) {
        const TaskInputs& own = *inputs.task;
        const evaluate::Subject subject{model, adapter, inputs.text.tokenizer, inputs.source()};
        Progress silent;
        return own.task->run(subject, own.request, own.validation, silent).find(key).value_or(0);
      },
      score.higher_is_better};
}

}  // namespace

FinetuneReport finetune(const FinetuneOptions& asked, Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  FinetuneOptions options = asked;
  check_finetune(options);
  expect_output(output_of(options));
  at::set_num_threads(1);  // the work is in our own threads (load.cpp)
  const bool lora = options.method == "lora";
  const FinetuneInputs inputs = open_inputs(options, progress);
  const fs::path& folder = inputs.folder;
  const io::Json& config = inputs.config;
  const std::optional<quantized::ModelFiles>& files = inputs.files;
  const Layout& layout = inputs.layout;
  train::Options training = inputs.training;
  const std::optional<TaskInputs>& task = inputs.task;

  refuse(!lora && files && files->quantization(), "method",
         "full fine-tuning needs full-precision weights, found a quantized folder: train its "
         "adapter (--method lora)");
  const ArithmeticChoice choice =
      choose({options.dtype, options.matmul}, options.device,
             files ? checkpoint::weight_type(files->source())
                   : checkpoint::named_weight_type(config).value_or(ElementType::f32));
  options.dtype = choice.arithmetic.dtype;
  options.matmul = choice.arithmetic.matmul;
  std::optional<adapter::Adapter> adapter;
  if (lora) adapter = first_adapter(*files, options);
  const ElementType type =
      lora ? ElementType::f32 : save_type(files ? &files->source() : nullptr, config, options);

  OutputFolder output(output_of(options));
  expect_as_asked(output, options);
  FinetuneReport report;
  const train::Examples examples =
      task ? task->train.examples
           : train::read_examples(inputs.data->set, inputs.data->split.train, progress);
  report.train_examples = task ? task->train.examples.size() : std::ssize(inputs.data->split.train);
  std::optional<train::Examples> validation;
  if (!task && !inputs.data->split.validation.empty()) {
    validation = train::read_examples(inputs.data->set, inputs.data->split.validation, progress);
    report.validation_examples = std::ssize(inputs.data->split.validation);
  }
  begin_training(output, options.train.resume, [&] { take_up_finished(output); });
  if (!choice.reason.empty()) progress.note(choice.reason);
  if (files && !files->head_warning().empty()) progress.note(files->head_warning());
  auto load = load_options(options.device, choice.arithmetic);
  load.train_weights = !lora;
  model::Model model = files ? model::Model::load(*files, load, progress)
                             : model::Model::random(layout, load, training.seed);
  model::AdapterId trained = model::kNoAdapter;
  if (lora) trained = model.attach(kAdapterName, *adapter, /*train=*/true);
  training.base = files ? weights_fingerprint(folder) : "random weights";
  training.setup = setup_of(options, lora ? &adapter->config : nullptr);
  if (task) training.setup += ", " + options.task + " " + hex(task->train.fingerprint);
  training.folder = output.path() / kTrainingFolder;
  training.log_folder = output.path();
  adapter.reset();

  const ElementType stored =
      adapter::storage_from_name(options.save_dtype.value_or("f32")).value_or(ElementType::f32);
  const train::Objective objective = task ? task->train.objective : train::next_token();
  const auto save = [&](std::int64_t) {
    if (lora) {
      adapter::save(model.extract(kAdapterName), output.path(), kTrainedType, layout);
    } else {
      write_weights(model, output.path(), type);
    }
  };
  try {
    report.summary = train::train(model, trained, examples, validation, training, save, progress,
                                  objective, {}, validation_of(inputs, trained));
    if (lora) store_adapter(model, output.path(), stored, examples, objective, progress);
  } catch (const ComputationError&) {
    rethrow_at_largest(read_by(inputs, options, training));
  }
  if (lora) {
    write_beside_adapter(inputs, output.path());
  } else {
    write_beside_weights(inputs, type, output.path());
  }
  output.commit();
  if (task && task->validation) {
    report.best_score = std::exchange(report.summary.best_validation_loss, std::nullopt);
    report.score = task->task->scores.front().key;
  }
  report.method = options.method;
  report.arithmetic = choice.arithmetic;
  report.trained_parameters = count_parameters(model);
  report.output = output.target();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace qloft::pipeline
