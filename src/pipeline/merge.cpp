#include "qloft/pipeline/merge.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "clock.h"
#include "names.h"
#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/memory.h"
#include "qloft/pipeline/resume.h"
#include "qloft/quantized.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

bool is_float(ElementType type) {
  return type == ElementType::f32 || type == ElementType::f16 || type == ElementType::bf16;
}

// One tensor of the output and where it comes from.
struct Item {
  io::TensorInfo info;
  std::string source;                            // name in the model
  std::optional<quantized::MatrixEntry> packed;  // how it is stored there
  const adapter::Factors* factors = nullptr;
  std::string module;
};

struct Input {
  checkpoint::Checkpoint source;
  model::Architecture architecture;
  std::optional<quantized::QuantizationConfig> quantization;
  std::optional<adapter::Adapter> adapter;
  fs::path adapter_folder;
  ElementType type = ElementType::bf16;
};

ElementType output_type(const std::string& wanted, const io::Json& config) {
  if (!wanted.empty()) {
    const auto type = element_type_from_short_name(wanted);
    if (type && is_float(*type)) return *type;
    throw InputError({{}, "dtype"}, "expected f32, bf16 or f16, found '" + wanted + "'");
  }
  for (const char* field : {"dtype", "torch_dtype"}) {
    const auto it = config.find(field);
    if (it == config.end() || !it->is_string()) continue;
    if (*it == "float32") return ElementType::f32;
    if (*it == "float16") return ElementType::f16;
  }
  return ElementType::bf16;
}

const char* torch_name(ElementType type) {
  return type == ElementType::f32 ? "float32" : type == ElementType::f16 ? "float16" : "bfloat16";
}

Input open_input(const MergeOptions& options) {
  checkpoint::Checkpoint source(checkpoint::resolve(options.model));
  auto architecture = model::parse_architecture(source.config(), source.folder() / "config.json");
  auto quantization = quantized::read_config(source);
  Input input{std::move(source), std::move(architecture), std::move(quantization), {}, {}, {}};
  input.adapter_folder =
      options.adapter.empty() ? input.source.folder() / "adapter" : fs::path(options.adapter);
  const bool inside = input.quantization && fs::exists(input.adapter_folder);
  if (!options.adapter.empty() || inside) input.adapter = adapter::load(input.adapter_folder);
  if (!input.adapter && !input.quantization) {
    throw InputError(
        {input.source.folder(), {}},
        "expected a quantized model or an adapter to merge (--adapter), found neither");
  }
  input.type = output_type(options.dtype, input.source.config());
  return input;
}

std::vector<std::int64_t> shape_of(const Input& input, const Item& item) {
  if (item.packed) return {item.packed->rows, item.packed->columns};
  return input.source.info(item.source).shape;
}

void check_factors(const Input& input, const Item& item) {
  const std::vector<std::int64_t> found = {item.factors->b.rows(), item.factors->a.columns()};
  if (item.info.shape == found) return;
  throw InputError({input.adapter_folder, item.module},
                   "expected factors for this model's weight of shape " +
                       shape_text(item.info.shape) + ", found " + shape_text(found) +
                       " (an adapter for another model?)");
}

// Every tensor of a plain folder of this model. An adapter of a tied output matrix gives one more.
std::vector<Item> plan_items(const Input& input) {
  std::vector<Item> items;
  std::map<std::string, const adapter::Factors*> open;
  if (input.adapter) {
    for (const auto& [module, factors] : input.adapter->modules) open[module] = &factors;
  }
  const auto add = [&](const std::string& name, const std::string& from,
                       const std::vector<std::int64_t>& shape) {
    Item item;
    item.source = from;
    item.module = name.ends_with(".weight") ? name.substr(0, name.size() - 7) : name;
    if (input.quantization) {
      const auto entry = input.quantization->matrices.find(from);
      if (entry != input.quantization->matrices.end()) item.packed = entry->second;
    }
    item.info.name = name;
    item.info.shape = shape_of(input, item);
    if (item.info.shape != shape) {
      throw InputError({input.source.folder(), from}, "expected the shape " + shape_text(shape) +
                                                          " by config.json, found " +
                                                          shape_text(item.info.shape));
    }
    if (const auto it = open.find(item.module); it != open.end()) {
      item.factors = it->second;
      check_factors(input, item);
      open.erase(it);
    }
    const ElementType stored = item.packed ? ElementType::f32 : input.source.info(from).type;
    item.info.type = is_float(stored) ? input.type : stored;
    items.push_back(std::move(item));
  };
  for (const model::TensorShape& tensor : model::expected_tensors(input.architecture)) {
    add(tensor.name, tensor.name, tensor.shape);
  }
  if (input.architecture.tied_embeddings && open.contains("lm_head")) {
    add(kHead, kEmbedding, {input.architecture.vocabulary_size, input.architecture.hidden_size});
  }
  if (!open.empty()) {
    throw InputError({input.adapter_folder, open.begin()->first},
                     "expected a module of this model, found none of that name (an adapter for "
                     "another model?)");
  }
  return items;
}

void write_item(const Input& input, const Item& item, checkpoint::Writer& writer) {
  const auto& source = input.source;
  if (!item.packed && !item.factors && source.info(item.source).type == item.info.type) {
    writer.write(item.info.name, source.bytes(item.source));
    source.drop(item.source);
    return;
  }
  Matrix weight;
  if (item.packed) {
    const auto packed = quantized::read_matrix(source, item.source, *item.packed);
    for (const auto& part : quantized::tensors_of(item.source, *item.packed)) {
      source.drop(part.name);
    }
    weight = Matrix(packed.rows(), packed.columns());
    quant::dequantize(packed, weight.view());
  } else {
    weight = source.read_matrix(item.source);
    source.drop(item.source);
  }
  if (item.factors) {
    adapter::merge_into(weight.view(), *item.factors, input.adapter->config.scale_of(item.module),
                        item.module);
  }
  writer.write(item.info.name, checkpoint::convert_from_f32(weight.values(), item.info.type));
}

void write_config(const Input& input, const fs::path& folder) {
  io::Json config = input.source.config();
  config.erase("quantization_config");
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(input.type);
  if (input.adapter && input.adapter->modules.contains("lm_head")) {
    config["tie_word_embeddings"] = false;
  }
  io::write_json(folder / "config.json", config);
}

io::Json work_of(const Input& input) {
  io::Json work;
  work["merge"] = short_name(input.type);
  work["model"] = weights_fingerprint(input.source.folder());
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
  const std::vector<Item> items = plan_items(input);
  ResumableFolder folder(options.output, options.overwrite, input.source.folder(), work_of(input),
                         progress);
  std::vector<io::TensorInfo> tensors;
  for (const Item& item : items) tensors.push_back(item.info);
  checkpoint::Writer writer(
      folder.path(), std::move(tensors),
      folder.resumes() ? checkpoint::Writer::Mode::resume : checkpoint::Writer::Mode::create);
  MergeReport report;
  progress.begin("merge", items.size(), "tensors");
  std::uint64_t done = 0;
  auto flushed = Clock::now();
  for (const Item& item : items) {
    if (progress.stop_requested()) {
      writer.checkpoint();
      progress.end();
      throw Interrupted({}, std::to_string(done) + " of " + std::to_string(items.size()) +
                                " tensors are written and kept; the same command goes on from "
                                "there");
    }
    if (!writer.written(item.info.name)) write_item(input, item, writer);
    if (seconds_since(flushed) > kSecondsBetweenFlushes) {
      writer.checkpoint();
      flushed = Clock::now();
    }
    report.merged += item.factors != nullptr;
    report.dequantized += item.packed.has_value();
    progress.update(++done, "");
  }
  progress.end();
  checkpoint::copy_companions(input.source.folder(), folder.path());
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
