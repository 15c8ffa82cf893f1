#include "load.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <map>

#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/core/threads.h"
#include "qloft/pipeline/resume.h"
#include "qloft/quantized.h"

namespace qloft::pipeline {
at::Device device_named(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "cuda" || name.starts_with("cuda:")) {
    if (!at::hasCUDA()) {
      throw InputError({{}, "device"}, "this build of qloft or this machine has no CUDA device");
    }
    const std::string index = name == "cuda" ? "0" : name.substr(5);
    const bool digits = !index.empty() && index.size() <= 3 &&
                        index.find_first_not_of("0123456789") == std::string::npos;
    if (digits && static_cast<std::size_t>(std::stoi(index)) < at::getNumGPUs()) {
      return {at::kCUDA, static_cast<at::DeviceIndex>(std::stoi(index))};
    }
  }
  throw InputError({{}, "device"}, "expected cpu, cuda or cuda:N, found '" + name + "'");
}

model::LoadOptions load_options(const std::string& device, const Arithmetic& chosen) {
  model::LoadOptions options;
  options.dtype = chosen.dtype == "bf16" ? at::kBFloat16 : at::kFloat;
  options.int8 = chosen.matmul == "int8";
  options.cache = model::stored_type_from_name(chosen.cache_type).value_or(options.cache);
  options.factors = model::stored_type_from_name(chosen.adapter_type).value_or(options.factors);
  options.device = device_named(device);
  return options;
}

void check_model_options(const ModelOptions& options) {
  check_arithmetic(arithmetic_of(options), options.device);
  if (options.bare && !options.adapter.empty()) {
    throw InputError({{}, "bare"}, "expected an adapter or --bare, found both");
  }
}

std::optional<std::filesystem::path> adapter_folder(const checkpoint::Checkpoint& source,
                                                    const ModelOptions& options) {
  if (options.bare) return std::nullopt;
  if (!options.adapter.empty()) return options.adapter;
  const auto inside = source.folder() / "adapter";
  if (quantized::read_config(source) && std::filesystem::exists(inside / "adapter_config.json")) {
    return inside;
  }
  return std::nullopt;
}

std::optional<adapter::Adapter> find_adapter(const quantized::ModelFiles& files,
                                             const ModelOptions& options) {
  const auto folder = adapter_folder(files.source(), options);
  if (!folder) return std::nullopt;
  return read_adapter(*folder, files, options.any_base);
}

adapter::Adapter read_adapter(const std::filesystem::path& folder,
                              const quantized::ModelFiles& files, bool any_base) {
  auto adapter = adapter::load(folder, files.layout());
  expect_fits(adapter, folder, files.layout(), architecture::adaptable(files.layout()));
  if (!any_base) expect_base(adapter, folder, files);
  return adapter;
}

void expect_fits(const adapter::Adapter& adapter, const std::filesystem::path& folder,
                 const architecture::Layout& layout,
                 const std::vector<architecture::ParameterId>& parameters) {
  std::map<std::string, const architecture::Parameter*> known;
  for (const auto id : parameters) known[layout.parameter(id).module()] = &layout.parameter(id);
  for (const auto& [module, factors] : adapter.modules) {
    const ErrorLocation where{folder / "adapter_model.safetensors", module};
    const auto found = known.find(module);
    if (found == known.end()) {
      throw InputError(where,
                       "expected a module of this model, found none of that name (an adapter for "
                       "another model?)");
    }
    const architecture::Parameter& parameter = *found->second;
    if (factors.a.columns() == parameter.columns() && factors.b.rows() == parameter.rows() &&
        factors.b.columns() == factors.a.rows()) {
      continue;
    }
    throw InputError(where, "expected factors for this model's weight of shape " +
                                shape_text({parameter.rows(), parameter.columns()}) + ", found A " +
                                shape_text({factors.a.rows(), factors.a.columns()}) + " and B " +
                                shape_text({factors.b.rows(), factors.b.columns()}) +
                                " (an adapter for another model?)");
  }
}

namespace {

// PEFT would put these copies in the place of the base's own matrices.
void expect_base_copies(const std::filesystem::path& folder, const quantized::ModelFiles& files) {
  for (const adapter::BaseCopy& copy : adapter::base_copies(folder, files.layout())) {
    const auto id = architecture::find(files.layout(), copy.module + ".weight");
    if (id != architecture::kNoParameter && files.packed(id) != nullptr) continue;
    double difference = 0, norm = 0;
    const Matrix found = adapter::read(folder, copy);
    const Matrix own = id == architecture::kNoParameter ? Matrix() : files.read_matrix(id);
    const bool same_shape = own.rows() == found.rows() && own.columns() == found.columns();
    for (std::int64_t i = 0; same_shape && i < own.size(); ++i) {
      const double d = own.data()[i] - found.data()[i];
      difference += d * d;
      norm += static_cast<double>(own.data()[i]) * own.data()[i];
    }
    // They may have been rounded to another type.
    constexpr double kRounding = 1e-4;
    if (same_shape && difference <= kRounding * norm) continue;
    throw InputError({folder / "adapter_model.safetensors", copy.tensor.name},
                     "expected the values of " + files.folder().string() +
                         ", found others: PEFT puts them in the place of the base's, save that "
                         "base and merge there (--any-base leaves them out)");
  }
}

}  // namespace

void expect_base(const adapter::Adapter& adapter, const std::filesystem::path& folder,
                 const quantized::ModelFiles& files) {
  namespace fs = std::filesystem;
  expect_base_copies(folder, files);
  std::error_code error;
  const fs::path base = adapter.config.base_model;
  if (fs::equivalent(folder, files.folder() / "adapter", error)) return;
  if (base.empty() || !fs::exists(base / "config.json", error)) return;
  if (fs::equivalent(base, files.folder(), error)) return;
  if (weights_fingerprint(base) == weights_fingerprint(files.folder())) return;
  throw InputError({folder / "adapter_config.json", "base_model_name_or_path"},
                   "expected an adapter of " + files.folder().string() + ", found one of " +
                       base.string() + ", whose weights differ (--any-base takes it all the same)");
}

std::vector<std::filesystem::path> weights_read(const checkpoint::Checkpoint& source,
                                                const ModelOptions& options) {
  std::vector<std::filesystem::path> folders = {source.folder()};
  if (const auto adapter = adapter_folder(source, options)) folders.push_back(*adapter);
  return folders;
}

std::string adapter_fingerprint(const checkpoint::Checkpoint& source, const ModelOptions& options) {
  const auto folder = adapter_folder(source, options);
  return folder ? model_fingerprint(*folder) : std::string();
}

quantized::ModelFiles open_files(const std::filesystem::path& folder,
                                 const std::optional<architecture::HeadRequest>& head,
                                 std::uint64_t seed, bool takes_source) {
  const std::filesystem::path file = folder / "config.json";
  if (!head) {
    quantized::ModelFiles files(folder);
    const bool makes_targets =
        files.layout().head.kind == architecture::HeadKind::sequence_to_sequence;
    if (!takes_source || !makes_targets) architecture::expect_next_token(files.layout(), file);
    return files;
  }
  const checkpoint::Checkpoint source(folder);
  const auto layout = architecture::read_layout(source.config(), file);
  const bool named = head->labels.empty() || layout.head.labels == head->labels;
  const bool has = named && architecture::has_head(layout, *head);
  return quantized::ModelFiles(folder, has ? std::nullopt : head, seed);
}

std::optional<std::string> untrained_head(const quantized::ModelFiles& files,
                                          const std::optional<adapter::Adapter>& adapter) {
  for (const auto id : architecture::head_parameters(files.layout())) {
    const std::string& name = files.layout().parameter(id).name;
    if (files.tensors(id).empty() && !(adapter && adapter->saved.contains(name))) return name;
  }
  return std::nullopt;
}

ModelInputs open_model(const ModelOptions& options,
                       const std::optional<architecture::HeadRequest>& head, bool takes_source) {
  check_arithmetic(arithmetic_of(options), options.device);
  quantized::ModelFiles files =
      open_files(checkpoint::resolve(options.model), head, 0, takes_source);
  ArithmeticChoice choice = choose(arithmetic_of(options), options.device, files.source());
  auto load = load_options(options.device, choice.arithmetic);
  load.output = model::output_type_from_name(choice.arithmetic.output_type).value_or(load.output);
  auto text = load_tokenization(
      text_sources(files.folder(), adapter_folder(files.source(), options), options.chat_template),
      files.layout().vocabulary_size);
  auto adapter = find_adapter(files, options);
  return {std::move(files), std::move(text), std::move(adapter), load, std::move(choice)};
}

LoadedModel load_model(ModelInputs inputs, Progress& progress) {
  // The work is in our own threads; torch's would wait for it in a loop and take their place.
  at::set_num_threads(1);
  if (!inputs.choice.reason.empty()) progress.note(inputs.choice.reason);
  auto model = model::Model::load(inputs.files, inputs.load, progress);
  model::AdapterId id = model::kNoAdapter;
  if (inputs.adapter) id = model.attach("default", *inputs.adapter, /*train=*/false);
  inputs.choice.arithmetic.output_type = name(model.output_type());
  model.set_training(false);
  return {std::move(inputs.files), std::move(inputs.text), std::move(model),
          std::move(inputs.choice.arithmetic), id};
}

}  // namespace qloft::pipeline
