#include "qloft/pipeline/recover.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "clock.h"
#include "finetune_adapter.h"
#include "output_names.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/memory.h"
#include "qloft/objectives.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/resume.h"
#include "qloft/train.h"
#include "recover_blocks.h"
#include "recover_held_out.h"
#include "recover_inputs.h"
#include "recover_stage.h"
#include "recovered_folder.h"
#include "store_adapter.h"
#include "suspects.h"
#include "teacher.h"
#include "training_output.h"
#include "work_folder.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// What the names of files in the work folder begin with.
constexpr std::string_view kTeacherFiles[] = {"teacher-"};

OutputRequest output_of(const RecoverOptions& o) {
  return {.output = o.output,
          .overwrite = o.overwrite,
          .command = "recover",
          .inputs = {checkpoint::resolve(o.model), checkpoint::resolve(o.teacher), o.data, o.cache,
                     o.chat_template}};
}

std::string setup_of(const RecoverOptions& options, const Arithmetic& arithmetic,
                     const adapter::Config& config, const std::string& teacher) {
  const auto number = [](double value) { return io::Json(value).dump(); };
  std::string setup = std::string(name(options.loss)) + " in " + arithmetic.dtype;
  if (arithmetic.matmul != "float") setup += ", products in " + arithmetic.matmul;
  return setup + ", rank " + std::to_string(config.rank) + ", alpha " + number(config.alpha) +
         (config.rslora ? " (rslora)" : "") + ", next-token weight " +
         number(options.next_token_weight) + ", teacher " + teacher + ", trains " +
         io::Json(options.train_parts).dump();
}

// As that of the adapter which is continued.
ElementType save_type(const RecoverOptions& options, const fs::path& model) {
  if (options.save_dtype) return adapter::storage_from_name(*options.save_dtype).value();
  const fs::path file = model / kAdapterFolder / "adapter_model.safetensors";
  std::error_code error;
  if (options.fresh || !fs::exists(file, error)) return ElementType::f32;
  const io::SafetensorsFile stored(file);
  for (const io::TensorInfo& tensor : stored.tensors()) {
    if (tensor.name.find(".lora_") == std::string::npos) continue;
    const bool plain = tensor.type == ElementType::f32 || tensor.type == ElementType::bf16 ||
                       tensor.type == ElementType::f16 || tensor.type == ElementType::f8;
    if (!plain) return ElementType::i8;
    if (!tensor.name.ends_with("scales")) return tensor.type;
  }
  return ElementType::f32;
}

void write_config(const RecoverOptions& options, const checkpoint::Checkpoint& source,
                  const train::Summary& summary, const fs::path& folder) {
  io::Json config = source.config();
  io::Json& note = config["quantization_config"]["recovered"];
  note = {{"trained", options.train_parts},
          {"loss", name(options.loss)},
          {"next_token_weight", options.next_token_weight},
          {"steps", summary.steps},
          {"tokens", summary.tokens}};
  io::write_json(folder / "config.json", config);
}

std::string fingerprint_of_teacher(const ModelOptions& options) {
  const fs::path folder = checkpoint::resolve(options.model);
  return weights_fingerprint(folder) + adapter_fingerprint(checkpoint::Checkpoint(folder), options);
}

LoadedModel load_teacher(const ModelOptions& options, Progress& progress) {
  ModelInputs inputs = open_model(options);
  checkpoint::expect_finite(inputs.files.source());
  return load_model(std::move(inputs), progress);
}

// What is learned from.
struct Teacher {
  std::optional<TeacherOutputs> outputs;
  std::optional<LoadedModel> model;  // of blocks, in place of outputs
  std::string work;                  // a fingerprint
};

Teacher teacher_of(const RecoverOptions& options, RecoverInputs& inputs, const fs::path& cache,
                   Progress& progress) {
  Teacher teacher;
  if (options.loss == RecoveryLoss::blocks) {
    teacher.work = fingerprint_of_teacher(inputs.teacher.model);
    teacher.model = load_teacher(inputs.teacher.model, progress);
    return teacher;
  }
  try {
    inputs.teacher.folder = cache;
    teacher.outputs.emplace(inputs.teacher, inputs.all, progress);
  } catch (const Error&) {
    std::error_code error;
    if (options.cache.empty()) fs::remove(cache, error);  // where nothing is in it
    throw;
  }
  teacher.work = teacher.outputs->work();
  return teacher;
}

// `inputs` and `teacher` outlive it.
train::Objective objective_of(const RecoverOptions& options, const RecoverInputs& inputs,
                              const Teacher& teacher) {
  return [&inputs, &teacher, loss = options.loss, weight = options.next_token_weight](
             model::Model& learner, const train::Batch& batch) {
    model::Input input = batch.input;
    if (inputs.pairs) input.source = inputs.pairs->source(batch.examples, learner);
    const TeacherOutputs& outputs = teacher.outputs.value();
    if (loss == RecoveryLoss::hidden) {
      return objectives::distillation_of_states(learner, input, batch.loss_mask,
                                                outputs.states(batch.examples), weight);
    }
    return objectives::distillation(learner, input, batch.loss_mask, outputs.rows(batch.examples),
                                    weight);
  };
}

model::Model load_student(const RecoverOptions& options, const ModelInputs& student,
                          Progress& progress) {
  model::LoadOptions load = student.load;
  load.factors = model::StoredType::f32;  // untrained ones are written as they were
  load.train_norms = trains(options, "norms");
  load.train_biases = trains(options, "biases");
  load.train_scales = trains(options, "scales");
  return model::Model::load(student.files, load, progress);
}

// Trains what the model learns and stores its adapter in `folder` as `type`: what that won.
RecoverReport learn(const RecoverOptions& options, const RecoverInputs& inputs, Teacher& teacher,
                    const train::Options& training, model::Model& model, model::AdapterId trained,
                    const fs::path& folder, ElementType type, Progress& progress) {
  const architecture::Layout& layout = inputs.student.files.layout();
  const train::Objective objective = objective_of(options, inputs, teacher);
  const auto save = [&](std::int64_t) {
    make_folders(folder);
    adapter::save(model.extract(kAdapterName), folder, kTrainedType, layout);
  };
  RecoverReport report;
  report.sequences = inputs.examples.size();
  report.held_out = inputs.all.size() - inputs.examples.size();
  if (report.held_out > 0) {
    report.held_out_before = held_out_loss(model, trained, inputs, objective, progress);
  }
  report.summary = teacher.model ? recover_blocks(model, trained, *teacher.model, inputs.examples,
                                                  training, save, progress)
                                 : train::train(model, trained, inputs.examples, {}, training, save,
                                                progress, objective);
  store_adapter(model, folder, type, inputs.examples, objective, progress);
  if (report.held_out == 0) return report;
  constexpr const char* kStored = "stored";  // as it was rounded
  const adapter::Adapter saved = adapter::load(folder, layout);
  report.held_out_after = held_out_loss(model, model.attach(kStored, saved, /*train=*/false),
                                        inputs, objective, progress);
  model.detach(kStored);
  return report;
}

}  // namespace

bool has_saved_recovery(const fs::path& output) {
  const fs::path folder = without_final_slash(output);
  const bool in_place = is_there(folder / kLockFile) && has_saved_steps(folder);
  return in_place || has_saved_steps(with_suffix(folder, kStagingSuffix));
}

RecoverReport recover(const RecoverOptions& options, Progress& progress) {
  return recover(options, progress, {});
}

RecoverReport recover(const RecoverOptions& options, Progress& progress,
                      const std::function<void()>& clear) {
  const auto begin = Clock::now();
  check_recover(options);
  expect_output(output_of(options));
  reset_peak_resident_bytes();
  at::set_num_threads(1);  // the work is in our own threads (load.cpp)
  RecoverInputs inputs = open_inputs(options, progress);
  const quantized::ModelFiles& files = inputs.student.files;
  adapter::Adapter adapter = first_adapter(files, as_finetune(options));
  const ElementType type = save_type(options, files.folder());

  OutputFolder output(output_of(options));
  expect_mentioned(output, options.train.resume, options.overwrite);
  const fs::path cache = options.cache.empty() ? work_folder(options.output) : options.cache;
  std::error_code error;
  if (options.train.resume && !has_saved_steps(output.path()) && !fs::exists(cache, error)) {
    throw InputError({output.target(), {}}, "there is no interrupted run to resume");
  }
  Teacher teacher = teacher_of(options, inputs, cache, progress);
  train::Options training = inputs.training;
  training.resume = options.train.resume && has_saved_steps(output.path());
  begin_training(output, training.resume);
  const ModelInputs& student = inputs.student;
  if (!student.choice.reason.empty()) progress.note(student.choice.reason);
  adapter.config.base_model = fs::absolute(output.target()).lexically_normal().string();
  const auto vectors = trained_vectors(options, files.layout());
  model::Model model = load_student(options, student, progress);
  const model::AdapterId trained = model.attach(kAdapterName, adapter, trains(options, "adapter"));
  training.base = weights_fingerprint(files.folder());
  training.setup = setup_of(options, student.choice.arithmetic, adapter.config, teacher.work);
  training.folder = output.path() / kTrainingFolder;
  training.log_folder = output.path();

  RecoverReport report;
  try {
    report = learn(options, inputs, teacher, training, model, trained,
                   output.path() / kAdapterFolder, type, progress);
  } catch (const ComputationError&) {
    ModelOptions own;
    own.bare = options.fresh;
    rethrow_at_largest(weights_read(files.source(), own));
  }
  write_recovered(files, model, vectors, output.path());
  write_config(options, files.source(), report.summary, output.path());
  if (teacher.outputs) {
    report.cache_bytes = teacher.outputs->bytes();
    report.teacher_seconds = teacher.outputs->seconds();
  }
  warn_where_nothing_was_won(report, training.learning_rate, progress);
  output.commit([&] {
    if (clear) clear();
    if (options.cache.empty()) clear_work_folder(options.output, kTeacherFiles);
    remove_whole(output.target() / kTrainingFolder);  // last: what goes on with --resume
  });
  report.arithmetic = student.choice.arithmetic;
  report.trained_parameters = count_parameters(model);
  report.truncated_examples = inputs.omissions.truncated;
  report.left_out_examples = inputs.omissions.left_out;
  report.output = output.target();
  report.peak_memory = peak_resident_bytes();
  report.seconds = seconds_since(begin);
  return report;
}

}  // namespace qloft::pipeline
