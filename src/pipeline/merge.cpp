#include "qloft/pipeline/merge.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "clock.h"
#include "load.h"
#include "names.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/checkpoint/weight_type.h"
#include "qloft/core/error.h"
#include "qloft/core/memory.h"
#include "qloft/evaluate/task.h"
#include "qloft/pipeline/output.h"
#include "qloft/quantized/model_files.h"
#include "suspects.h"
#include "task_head.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// One parameter of the output.
struct Item {
  architecture::ParameterId id = architecture::kNoParameter;
  ElementType type = ElementType::f32;
  const adapter::Factors* factors = nullptr;
  const Matrix* saved = nullptr;  // the adapter's own values of a head's parameter
};

struct Input {
  quantized::ModelFiles files;
  architecture::Layout layout;  // with an output matrix of its own where the adapter changes it
  std::optional<adapter::Adapter> adapter;
  fs::path adapter_folder;
  ElementType type = ElementType::bf16;

  const architecture::Parameter& parameter(const Item& item) const {
    return layout.parameter(item.id);
  }
};

ElementType output_type(const std::string& wanted, const checkpoint::Checkpoint& source) {
  if (wanted.empty()) return checkpoint::weight_type(source);
  const auto type = element_type_from_short_name(wanted);
  if (type && checkpoint::is_weight_type(*type)) return *type;
  throw InputError({{}, "dtype"}, "expected f32, bf16 or f16, found '" + wanted + "'");
}

// Whether it changes the output matrix or the embedding, but not both alike.
bool parts_output(const adapter::Adapter& adapter, const architecture::Layout& layout) {
  if (layout.output.matrix == architecture::kNoParameter) return false;
  return adapter.modules.contains(layout.parameter(layout.output.matrix).module()) ||
         adapter.modules.contains(layout.parameter(layout.embedding.tokens).module());
}

std::vector<architecture::ParameterId> matrices(const architecture::Layout& layout) {
  std::vector<architecture::ParameterId> out;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    if (layout.parameters[i].is_matrix()) out.push_back(static_cast<architecture::ParameterId>(i));
  }
  return out;
}

fs::path adapter_to_merge(const MergeOptions& options) {
  return options.adapter.empty() ? checkpoint::resolve(options.model) / "adapter"
                                 : fs::path(options.adapter);
}

// The head that the model is to have for its adapter.
std::optional<architecture::HeadRequest> head_to_merge(const MergeOptions& options) {
  const data::NamedColumns columns{{}, {}, options.labels};
  if (options.task.empty()) {
    expect_own_columns(nullptr, columns);
    return options.bare ? std::nullopt : adapter_head(adapter_to_merge(options));
  }
  const evaluate::Task& task = evaluate::learned_task(options.task);
  expect_own_columns(&task, columns);
  return head_for(task, settings_of(task, columns), checkpoint::resolve(options.model),
                  adapter_to_merge(options), {});
}

quantized::ModelFiles open_for(const MergeOptions& options) {
  const fs::path folder = checkpoint::resolve(options.model);
  const auto head = head_to_merge(options);
  return head ? open_files(folder, head, 0) : quantized::ModelFiles(folder);
}

// An adapter that was trained with a head does not say which.
void expect_head_of(const fs::path& adapter_folder, const architecture::Layout& layout) {
  const fs::path file = adapter_folder / "adapter_config.json";
  const io::Json config = io::read_json(file);
  const auto saved = config.is_object() ? config.find("modules_to_save") : config.end();
  if (layout.head.kind != architecture::HeadKind::states || saved == config.end() ||
      !saved->is_array() || saved->empty()) {
    return;
  }
  throw InputError({file, "modules_to_save"},
                   "the model has no head: expected the task that the adapter was trained for "
                   "(--task), found none");
}

Input open_input(const MergeOptions& options) {
  quantized::ModelFiles files = open_for(options);
  Input input{files, files.layout(), {}, {}, {}};
  input.adapter_folder = adapter_to_merge(options);
  const bool inside = files.quantization() && fs::exists(input.adapter_folder);
  if (options.bare && !options.adapter.empty()) {
    throw InputError({{}, "bare"}, "expected an adapter or none, found both");
  }
  if (!options.bare && (!options.adapter.empty() || inside)) {
    expect_head_of(input.adapter_folder, input.layout);
    input.adapter = adapter::load(input.adapter_folder, input.layout);
    expect_fits(*input.adapter, input.adapter_folder, input.layout, matrices(input.layout));
    if (!options.any_base) expect_base(*input.adapter, input.adapter_folder, files);
  }
  if (!input.adapter && !files.quantization()) {
    throw InputError(
        {files.folder(), {}},
        "expected a quantized model or an adapter to merge (--adapter), found neither");
  }
  if (input.adapter && parts_output(*input.adapter, input.layout) &&
      architecture::has_tied_output(input.layout)) {
    input.layout = architecture::untied(std::move(input.layout));
  }
  input.type = output_type(options.dtype, files.source());
  return input;
}

// Every parameter of a plain folder of this model.
std::vector<Item> plan_items(const Input& input) {
  std::vector<Item> items;
  for (std::size_t i = 0; i < input.layout.parameters.size(); ++i) {
    const architecture::Parameter& parameter = input.layout.parameters[i];
    if (parameter.tied_to != architecture::kNoParameter) continue;
    Item item;
    item.id = static_cast<architecture::ParameterId>(i);
    item.type = input.type;
    if (input.adapter && parameter.is_matrix()) {
      const auto factors = input.adapter->modules.find(parameter.module());
      if (factors != input.adapter->modules.end()) item.factors = &factors->second;
    }
    if (input.adapter) {
      const auto saved = input.adapter->saved.find(parameter.name);
      if (saved != input.adapter->saved.end()) item.saved = &saved->second;
    }
    // A head that neither the model nor the adapter has is not written.
    const bool absent = item.saved == nullptr && input.files.tensors(item.id).empty();
    if (parameter.in_head && absent) continue;
    items.push_back(item);
  }
  return items;
}

[[noreturn]] void refuse_not_finite(const Input& input, const Item& item) {
  throw InputError({input.files.folder(), input.parameter(item).name},
                   "expected finite values, found infinity or NaN");
}

void write_item(const Input& input, const Item& item, checkpoint::Writer& writer) {
  const quantized::ModelFiles& files = input.files;
  const architecture::Parameter& parameter = input.parameter(item);
  const auto tensors = quantized::published_tensors(parameter, item.type);
  const bool dense = files.packed(item.id) == nullptr;
  if (dense && item.factors == nullptr && item.saved == nullptr &&
      files.type(item.id) == item.type) {
    const auto bytes = files.bytes(item.id);
    if (bytes && tensors.size() == 1) {
      if (!checkpoint::all_finite(*bytes, item.type)) refuse_not_finite(input, item);
      writer.write(tensors.front().name, *bytes);
      files.drop(item.id);
      return;
    }
  }
  Matrix weight = item.saved != nullptr ? *item.saved : files.read_matrix(item.id);
  files.drop(item.id);
  if (!checkpoint::all_finite(weight.values())) refuse_not_finite(input, item);
  if (item.factors != nullptr) {
    const std::string module = parameter.module();
    adapter::merge_into(weight.view(), *item.factors, input.adapter->config.scale_of(module),
                        module);
  }
  for (std::size_t piece = 0; piece < tensors.size(); ++piece) {
    const auto bytes = quantized::published_bytes(parameter, piece, weight.view(), item.type);
    if (!checkpoint::all_finite(bytes, item.type)) {
      const bool merged = item.factors != nullptr;
      throw ComputationError(
          {merged ? input.adapter_folder : input.files.folder(), tensors[piece].name},
          "its merged values are too large for " + std::string(short_name(item.type)));
    }
    writer.write(tensors[piece].name, bytes);
  }
}

void write_config(const Input& input, const fs::path& folder) {
  io::Json config = input.files.config();
  config.erase("quantization_config");
  checkpoint::set_weight_type(config, input.type);
  const bool has_output = input.layout.output.matrix != architecture::kNoParameter;
  // To T5 the field says whether logits are scaled; values that differ need none.
  if (has_output && !input.layout.encoder && !architecture::has_tied_output(input.layout)) {
    config["tie_word_embeddings"] = false;
  }
  io::write_json(folder / "config.json", config);
}

// What a checkpoint holds beside the text model: the image half of one for both. Buffers of old
// checkpoints are left out.
std::vector<std::string> kept_tensors(const Input& input) {
  std::vector<std::string> out;
  for (std::string& name : input.files.foreign()) {
    const bool buffer = std::ranges::any_of(input.layout.foreign_suffixes,
                                            [&](const auto& end) { return name.ends_with(end); });
    if (!buffer) out.push_back(std::move(name));
  }
  return out;
}

io::Json work_of(const Input& input) {
  io::Json work;
  work["merge"] = short_name(input.type);
  work["model"] = weights_fingerprint(input.files.folder());
  if (input.adapter) {
    work["adapter"] = weights_fingerprint(input.adapter_folder);
    work["scale"] = io::read_json(input.adapter_folder / "adapter_config.json");
  }
  return work;
}

}  // namespace

MergeReport merge(const MergeOptions& options, Progress& progress) {
  const auto begin = Clock::now();
  reset_peak_resident_bytes();
  const Input input = open_input(options);
  for (const std::string& warning : input.files.warnings()) progress.warn(warning);
  const checkpoint::Checkpoint& source = input.files.source();
  const std::vector<Item> items = plan_items(input);
  OutputFolder folder({.output = options.output,
                       .overwrite = options.overwrite,
                       .command = "merge",
                       .inputs = {source.folder(), options.adapter}},
                      work_of(input), progress);
  std::vector<io::TensorInfo> tensors;
  for (const Item& item : items) {
    for (auto& tensor : quantized::published_tensors(input.parameter(item), item.type)) {
      tensors.push_back(std::move(tensor));
    }
  }
  const std::vector<std::string> others = kept_tensors(input);
  for (const std::string& name : others) tensors.push_back(source.info(name));
  checkpoint::Writer writer(
      folder.path(), std::move(tensors),
      folder.resumes() ? checkpoint::Writer::Mode::resume : checkpoint::Writer::Mode::create);
  MergeReport report;
  const std::uint64_t total = items.size() + others.size();
  progress.begin("merge", total, "tensors");
  std::uint64_t done = 0;
  auto flushed = Clock::now();
  const auto between = [&] {
    if (progress.stop_requested()) {
      writer.checkpoint();
      folder.keep();
      progress.end();
      throw Interrupted({}, std::to_string(done) + " of " + std::to_string(total) +
                                " tensors are written and kept; the same command goes on from "
                                "there");
    }
    if (seconds_since(flushed) > kSecondsBetweenFlushes) {
      writer.checkpoint();
      folder.keep();
      flushed = Clock::now();
    }
  };
  for (const Item& item : items) {
    between();
    const auto own = quantized::published_tensors(input.parameter(item), item.type);
    const bool whole = std::ranges::all_of(
        own, [&](const io::TensorInfo& tensor) { return writer.written(tensor.name); });
    try {
      if (!whole) write_item(input, item, writer);
    } catch (const ComputationError&) {
      rethrow_at_largest({source.folder(), input.adapter_folder});
    }
    report.merged += item.factors != nullptr || item.saved != nullptr;
    report.dequantized += input.files.packed(item.id) != nullptr;
    progress.update(++done, "");
  }
  for (const std::string& name : others) {
    between();
    if (!writer.written(name)) writer.write(name, source.bytes(name));
    source.drop(name);
    progress.update(++done, "");
  }
  progress.end();
  const auto beside = input.adapter ? std::optional(input.adapter_folder) : std::nullopt;
  const TextSources sources = text_sources(source.folder(), beside, {});
  if (sources.tokenizer != source.folder()) {  // it must fit the embedding
    load_tokenization(sources, input.layout.vocabulary_size);
  }
  copy_texts(sources, folder.path());
  checkpoint::copy_generation_config(source.folder(), folder.path());
  write_config(input, folder.path());
  writer.finish();
  folder.commit();
  report.output = options.output;
  report.dtype = short_name(input.type);
  report.seconds = seconds_since(begin);
  report.peak_memory = peak_resident_bytes();
  return report;
}

}  // namespace qloft::pipeline
