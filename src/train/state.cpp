#include "state.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/train.h"

namespace qloft::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetadataKey = "state";

// The options that change what is learned, whatever the schedule.
io::Json result_options(const Options& options) {
  return {{"beta1", options.beta1},
          {"beta2", options.beta2},
          {"epsilon", options.epsilon},
          {"weight_decay", options.weight_decay},
          {"loraplus_lr_ratio", options.loraplus_lr_ratio},
          {"clip", options.clip},
          {"batch", options.batch},
          {"accumulate", options.accumulate},
          {"length", options.length},
          {"batching", options.batching == data::Batching::packed ? "packed" : "padded"},
          {"checkpointing", options.checkpointing},
          {"seed", options.seed},
          {"evaluate_every", options.evaluate_every},
          {"patience", options.patience},
          {"setup", options.setup}};
}

io::Json schedule_options(const Identity& identity) {
  const Options& options = identity.options;
  return {{"learning_rate", options.learning_rate},
          {"schedule", name(options.schedule)},
          {"warmup", options.warmup},
          {"min_learning_rate", options.min_learning_rate},
          {"steps", identity.steps}};
}

io::Json to_json(const RunState& state, const Identity& identity, std::int64_t optimizer_steps) {
  io::Json json = {{"version", kStateVersion},
                   {"step", state.step},
                   {"optimizer_steps", optimizer_steps},
                   {"tokens", state.tokens},
                   {"seconds", state.seconds},
                   {"first_loss", state.first_loss},
                   {"last_loss", state.last_loss},
                   {"best_validation_loss", nullptr},
                   {"best_step", state.best_step},
                   {"evaluated_step", state.evaluated_step},
                   {"evaluations_without_better", state.evaluations_without_better},
                   {"stopped_early", state.stopped_early},
                   {"options", result_options(identity.options)},
                   {"schedule", schedule_options(identity)},
                   {"data", identity.data},
                   {"model", identity.model},
                   {"base", identity.options.base},
                   {"threads", identity.threads}};
  if (state.best_validation_loss) json["best_validation_loss"] = *state.best_validation_loss;
  return json;
}

ElementType element_type(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ElementType::f32;
    case at::kBFloat16:
      return ElementType::bf16;
    default:
      throw Error({}, "a state holds f32 and bf16 tensors only");
  }
}

// Reads one member, with an error that names file and field for another type.
template <typename T>
T member(const io::Json& json, const char* field, const fs::path& file) {
  const auto found = json.find(field);
  if (found == json.end()) throw InputError({file, field}, "missing");
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw InputError({file, field}, "expected another type");
  }
}

void expect_equal(const io::Json& saved, const io::Json& wanted, const fs::path& file) {
  for (const auto& [field, value] : wanted.items()) {
    const auto found = saved.find(field);
    if (found == saved.end()) throw InputError({file, field}, "missing");
    if (*found != value) {
      throw InputError({file, field}, "the saved run has " + found->dump() + ", this one has " +
                                          value.dump() +
                                          "; a run resumes only with its own options");
    }
  }
}

// The steps that are done must have had the rates that this run would have given them.
void expect_same_rates(const io::Json& saved, const Identity& identity, std::int64_t step,
                       const fs::path& file) {
  Options options;
  options.learning_rate = member<double>(saved, "learning_rate", file);
  options.warmup = member<double>(saved, "warmup", file);
  options.min_learning_rate = member<double>(saved, "min_learning_rate", file);
  const auto schedule = schedule_from_name(member<std::string>(saved, "schedule", file));
  if (!schedule) throw InputError({file, "schedule"}, "unknown");
  options.schedule = *schedule;
  const auto steps = member<std::int64_t>(saved, "steps", file);
  for (std::int64_t i = 0; i < step; ++i) {
    if (learning_rate(options, i, steps) != learning_rate(identity.options, i, identity.steps)) {
      expect_equal(saved, schedule_options(identity), file);
    }
  }
}

void copy_in(const io::SafetensorsFile& file, const std::string& name, const at::Tensor& tensor) {
  const io::TensorInfo* info = file.find(name);
  if (!info) throw InputError({file.path(), name}, "missing: a state of another model");
  const auto sizes = tensor.sizes().vec();
  if (info->type != element_type(tensor) || info->shape != sizes) {
    throw InputError({file.path(), name}, "of another type or shape: a state of another model");
  }
  const auto bytes = file.bytes(*info);
  at::Tensor values = at::empty(sizes, at::TensorOptions().dtype(tensor.scalar_type()));
  std::memcpy(values.data_ptr(), bytes.data(), bytes.size());
  at::NoGradGuard no_grad;
  tensor.copy_(values);
}

}  // namespace

void save_state(const fs::path& folder, const RunState& state, const Identity& identity,
                const AdamW& optimizer) {
  std::vector<at::Tensor> kept;  // what the byte spans point into
  std::vector<io::NamedBytes> named;
  for (const auto& [name, tensor] : optimizer.state()) {
    kept.push_back(tensor.detach().cpu().contiguous());
    io::NamedBytes entry;
    entry.info.name = name;
    entry.info.type = element_type(kept.back());
    entry.info.shape = kept.back().sizes().vec();
    entry.bytes = {static_cast<const std::byte*>(kept.back().data_ptr()), kept.back().nbytes()};
    named.push_back(std::move(entry));
  }
  const io::Json json = to_json(state, identity, optimizer.steps());
  io::write_safetensors(folder / kStateFile, named, {{std::string(kMetadataKey), json.dump()}});
  io::write_json(folder / kStateJson, json);
}

Resumed load_state(const fs::path& folder, const Identity& identity, AdamW& optimizer) {
  const fs::path path = folder / kStateFile;
  if (!has_state(folder)) throw InputError({path, {}}, "there is no saved state to resume from");
  const io::SafetensorsFile file(path);
  const auto metadata = file.metadata().find(std::string(kMetadataKey));
  if (metadata == file.metadata().end()) {
    throw InputError({path, "__metadata__"}, "expected a training state");
  }
  const io::Json json = io::parse_json(metadata->second, path);
  if (!json.is_object()) throw InputError({path, "state"}, "expected an object");
  const auto version = member<int>(json, "version", path);
  if (version != kStateVersion) {
    throw InputError({path, "version"}, "expected " + std::to_string(kStateVersion) + ", found " +
                                            std::to_string(version));
  }
  RunState state;
  state.step = member<std::int64_t>(json, "step", path);
  if (state.step < 0 || state.step > identity.steps) {
    throw InputError({path, "step"}, "the saved run has done " + std::to_string(state.step) +
                                         " steps, this one ends after " +
                                         std::to_string(identity.steps));
  }
  expect_equal(member<io::Json>(json, "options", path), result_options(identity.options), path);
  expect_same_rates(member<io::Json>(json, "schedule", path), identity, state.step, path);
  if (member<std::string>(json, "data", path) != identity.data) {
    throw InputError({path, "data"}, "the saved run was trained on other data");
  }
  // States of earlier versions lack the fingerprint of all weights.
  const bool other_base =
      json.contains("base") && member<std::string>(json, "base", path) != identity.options.base;
  if (other_base || member<std::string>(json, "model", path) != identity.model) {
    throw InputError({path, "model"}, "the saved run trained another model");
  }
  state.tokens = member<std::int64_t>(json, "tokens", path);
  state.seconds = member<double>(json, "seconds", path);
  state.first_loss = member<double>(json, "first_loss", path);
  state.last_loss = member<double>(json, "last_loss", path);
  state.best_step = member<std::int64_t>(json, "best_step", path);
  state.evaluated_step = member<std::int64_t>(json, "evaluated_step", path);
  state.evaluations_without_better = member<std::int64_t>(json, "evaluations_without_better", path);
  state.stopped_early = member<bool>(json, "stopped_early", path);
  if (json.contains("best_validation_loss") && !json["best_validation_loss"].is_null()) {
    state.best_validation_loss = member<double>(json, "best_validation_loss", path);
  }

  const NamedTensors tensors = optimizer.state();
  if (file.tensors().size() != tensors.size()) {
    throw InputError({path, {}}, "holds other tensors than this run trains");
  }
  for (const auto& [name, tensor] : tensors) copy_in(file, name, tensor);
  optimizer.set_steps(member<std::int64_t>(json, "optimizer_steps", path));
  return {state, member<int>(json, "threads", path)};
}

bool has_state(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / kStateFile, error);
}

void remove_state(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / kStateFile, error);
  fs::remove(folder / kStateJson, error);
}

}  // namespace qloft::train
