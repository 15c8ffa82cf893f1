#include "recover_inputs.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

#include "calibrate_inputs.h"
#include "draw_pairs.h"
#include "finetune_adapter.h"
#include "finetune_inputs.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/options.h"
#include "qloft/core/text.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

using architecture::Layout;
using architecture::Parameter;

constexpr std::string_view kTrainableParts[] = {"adapter", "norms", "biases", "scales"};

ModelOptions model_options(const RecoverOptions& options, const std::string& model) {
  ModelOptions out;
  out.model = model;
  out.device = options.device;
  out.dtype = options.dtype;
  out.matmul = options.matmul;
  return out;
}

void expect_same_shapes(const quantized::ModelFiles& teacher,
                        const quantized::ModelFiles& student) {
  const fs::path config = teacher.folder() / "config.json";
  const Layout &its = teacher.layout(), &own = student.layout();
  const std::string wanted = "that of " + student.folder().string();
  if (its.vocabulary_size != own.vocabulary_size) {
    throw InputError({config, "vocab_size"}, "expected " + std::to_string(own.vocabulary_size) +
                                                 ", " + wanted + ", found " +
                                                 std::to_string(its.vocabulary_size));
  }
  for (const Parameter& parameter : own.parameters) {
    const auto id = architecture::find(its, parameter.name);
    const bool there = id != architecture::kNoParameter;
    if (there && its.parameter(id).shape == parameter.shape) continue;
    throw InputError({config, parameter.name},
                     "expected the shape " + shape_text(parameter.shape) + ", " + wanted +
                         ", found " +
                         (there ? shape_text(its.parameter(id).shape) : std::string("none")));
  }
}

std::int64_t samples_of(const RecoverOptions& options) {
  constexpr std::int64_t kSamples = 256;
  const train::Options& training = options.train;
  if (options.samples) return *options.samples;
  if (training.max_steps == 0) return kSamples;
  return std::min(kMostOfAnOption, training.max_steps) * training.batch * training.accumulate;
}

// As many vectors as there may be are written anew, each in one tensor of its own.
void expect_trainable(const RecoverOptions& options, const quantized::ModelFiles& files) {
  std::size_t found = 0;
  for (const architecture::ParameterId id : trained_vectors(options, files.layout())) {
    const std::vector<std::string> tensors = files.tensors(id);
    if (tensors.size() != 1) {
      throw InputError(
          {files.folder(), files.layout().parameter(id).name},
          "expected a tensor of its own to train, found " + std::to_string(tensors.size()));
    }
    ++found;
  }
  const bool biases_alone = trains(options, "biases") && options.train_parts.size() == 1;
  refuse(found == 0 && biases_alone, "train", "the model has no biases to train");
}

// What an encoder-decoder makes of what; the rest is as of a decoder that reads its targets.
train::SequencePairs read_pairs(const RecoverOptions& options, const ModelInputs& student,
                                std::int64_t length, data::Omissions& omissions) {
  Pairs drawn =
      draw_pairs({options.data, false, samples_of(options), length, options.train.seed}, student);
  omissions.truncated = drawn.truncated;
  return std::move(drawn.pairs);
}

void expect_takes_sources(const RecoverOptions& options, const quantized::ModelFiles& files) {
  if (!files.layout().encoder) return;
  refuse(options.loss == RecoveryLoss::blocks, "loss",
         "expected kl or hidden of an encoder-decoder, found blocks");
  refuse(options.train.batching == data::Batching::packed, "batching",
         "expected padded of an encoder-decoder, found packed");
}

std::vector<data::Example> read_data(const RecoverOptions& options, const ModelInputs& student,
                                     std::int64_t samples, std::int64_t length,
                                     data::Omissions& omissions) {
  CalibrateOptions drawn;
  drawn.data = options.data;
  drawn.samples = samples;
  drawn.length = length;
  drawn.seed = options.train.seed;
  return draw(drawn, student, omissions);
}

bool is_among(const std::vector<data::Example>& examples, const data::Example& one) {
  return std::ranges::any_of(examples,
                             [&](const data::Example& other) { return other.ids == one.ids; });
}

// What is drawn beside `learned` where more is: draws of a seed hold those of fewer samples, in
// order. Blocks keep no loss to hold them against.
std::vector<data::Example> held_out(const RecoverOptions& options, const ModelInputs& student,
                                    std::int64_t length,
                                    const std::vector<data::Example>& learned) {
  constexpr std::int64_t kHeldOut = 8, kFewestHeldOut = 4, kFewestLearned = 32;
  if (options.loss == RecoveryLoss::blocks ||
      std::ranges::count_if(learned, data::has_prediction) < kFewestLearned) {
    return {};
  }
  data::Omissions unsaid;
  std::vector<data::Example> out;
  std::size_t next = 0;
  for (data::Example& example :
       read_data(options, student, samples_of(options) + kHeldOut, length, unsaid)) {
    if (next < learned.size() && example.ids == learned[next].ids) {
      ++next;
    } else if (data::has_prediction(example) && !is_among(learned, example)) {
      out.push_back(std::move(example));
    }
  }
  if (std::ssize(out) < kFewestHeldOut) out.clear();
  return out;
}

}  // namespace

RecoverOptions::RecoverOptions() {
  train.learning_rate = 1e-4;
  train.batch = 4;
  train.length = 512;
}

std::string_view name(RecoveryLoss loss) {
  switch (loss) {
    case RecoveryLoss::hidden:
      return "hidden";
    case RecoveryLoss::blocks:
      return "blocks";
    case RecoveryLoss::kl:
      break;
  }
  return "kl";
}

FinetuneOptions as_finetune(const RecoverOptions& options) {
  FinetuneOptions out;
  out.model = options.model;
  out.data = {options.data};
  out.output = options.output;
  out.device = options.device;
  out.dtype = options.dtype;
  out.matmul = options.matmul;
  out.chat_template = options.chat_template;
  out.fresh = options.fresh;
  out.rank = options.rank;
  out.alpha = options.alpha;
  out.rslora = options.rslora;
  out.target_modules = options.target_modules;
  out.save_dtype = options.save_dtype;
  out.train = options.train;
  return out;
}

bool trains(const RecoverOptions& options, std::string_view part) {
  return std::ranges::find(options.train_parts, part) != options.train_parts.end();
}

std::vector<architecture::ParameterId> trained_vectors(const RecoverOptions& options,
                                                       const Layout& layout) {
  std::vector<architecture::ParameterId> out;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    const Parameter& parameter = layout.parameters[i];
    const char* part = parameter.role == architecture::Role::bias ? "biases" : "norms";
    if (parameter.is_matrix() || !trains(options, part)) continue;
    out.push_back(static_cast<architecture::ParameterId>(i));
  }
  return out;
}

void check_recover(const RecoverOptions& o) {
  check_finetune(as_finetune(o));
  const std::string parts = "expected adapter, norms, biases or scales, found ";
  refuse(o.train_parts.empty(), "train", parts + "none");
  for (const std::string& part : o.train_parts) {
    refuse(std::ranges::find(kTrainableParts, part) == std::ranges::end(kTrainableParts), "train",
           parts + "'" + part + "'");
  }
  refuse(o.teacher.empty(), "teacher", "expected the model that the folder was quantized from");
  refuse(o.samples && *o.samples < 1, "samples",
         "expected at least 1, found " + std::to_string(o.samples.value_or(0)));
  refuse(o.teacher_logits < 1, "teacher_logits",
         "expected at least 1, found " + std::to_string(o.teacher_logits));
  refuse(!(o.next_token_weight >= 0 && o.next_token_weight <= 1), "next_token_weight",
         "expected a number from 0 to 1");
  const bool blocks = o.loss == RecoveryLoss::blocks;
  refuse(blocks && o.next_token_weight > 0, "next_token_weight", "a block predicts no tokens");
  refuse(blocks && o.train.batching == data::Batching::packed, "batching",
         "expected padded, as blocks take it, found packed");
}

RecoverInputs open_inputs(const RecoverOptions& options, Progress& progress) {
  std::error_code error;
  if (!fs::is_regular_file(options.data, error)) {
    throw InputError({options.data, {}}, "expected a text or JSON Lines, found no such file");
  }
  ModelOptions student = model_options(options, options.model);
  student.bare = options.fresh;
  student.chat_template = options.chat_template;
  ModelInputs opened = open_model(student, std::nullopt, /*takes_source=*/true);
  expect_takes_sources(options, opened.files);
  if (!opened.files.quantization()) {
    throw InputError({opened.files.folder() / "config.json", "quantization_config"},
                     "expected a quantized folder, found a model in full precision");
  }
  const ModelOptions teacher = model_options(options, options.teacher);
  const quantized::ModelFiles of_teacher(checkpoint::resolve(options.teacher));
  expect_same_shapes(of_teacher, opened.files);
  train::Options training = options.train;
  const std::int64_t longest = opened.files.layout().max_positions;
  if (longest > 0 && training.length > longest) {
    training.length = longest;
    progress.note("length " + std::to_string(longest) + ": the model has no more positions");
  }
  expect_trainable(options, opened.files);
  if (!opened.adapter) check_fresh_adapter(opened.files.layout(), as_finetune(options));
  data::Omissions omissions;
  std::optional<train::SequencePairs> pairs;
  if (opened.files.layout().encoder) {
    pairs = read_pairs(options, opened, training.length, omissions);
  }
  auto drawn = pairs ? decoder_examples(*pairs, opened.files.layout())
                     : read_data(options, opened, samples_of(options), training.length, omissions);
  for (const std::string& note : omissions.notes()) progress.warn(note);
  if (options.loss == RecoveryLoss::blocks) {  // later blocks see what is made of every token
    for (data::Example& example : drawn) std::ranges::fill(example.loss_mask, std::uint8_t{1});
  }
  const train::Examples examples(drawn);
  if (examples.size() == 0) {
    throw InputError({options.data, {}}, "none of the " + std::to_string(drawn.size()) +
                                             " examples has a token that counts; is the length "
                                             "too short for the prompts?");
  }
  if (!pairs)
    std::ranges::move(held_out(options, opened, training.length, drawn), std::back_inserter(drawn));
  const std::int64_t logits =
      std::min(options.teacher_logits, opened.files.layout().vocabulary_size);
  return {std::move(opened),
          {teacher, options.loss, logits, {}, pairs},
          std::move(training),
          std::move(omissions),
          examples,
          train::Examples(drawn),
          std::move(pairs)};
}

}  // namespace qloft::pipeline
