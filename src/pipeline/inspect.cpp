#include "qloft/pipeline/inspect.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/quantized/model_files.h"

namespace qloft::pipeline {
namespace {

constexpr double kBytesOfBf16 = 2;

// The errors that quantize wrote down, by weight name; empty where there is no report.
std::map<std::string, double> reported_errors(const checkpoint::Checkpoint& source) {
  std::map<std::string, double> errors;
  const auto file = source.folder() / "quantization_report.json";
  if (!std::filesystem::exists(file)) return errors;
  const io::Json report = io::read_json(file);
  const auto matrices = report.find("matrices");
  if (matrices == report.end() || !matrices->is_array()) return errors;
  for (const auto& matrix : *matrices) {
    const auto name = matrix.find("name");
    const auto error = matrix.find("relative_error");
    if (name == matrix.end() || error == matrix.end() || !name->is_string()) continue;
    if (error->is_array() && !error->empty() && error->back().is_number()) {
      errors[name->get<std::string>()] = error->back().get<double>();
    }
  }
  return errors;
}

// Of the adapter inside the folder, by module.
std::map<std::string, double> adapter_bytes(const checkpoint::Checkpoint& source,
                                            const architecture::Layout& layout) {
  const auto folder = source.folder() / "adapter";
  if (!std::filesystem::exists(folder / "adapter_config.json")) return {};
  return adapter::stored_bytes(folder, layout);
}

void inspect_matrices(const checkpoint::Checkpoint& source,
                      const quantized::QuantizationConfig& config, InspectReport& report) {
  constexpr std::string_view kWeight = ".weight";
  const auto errors = reported_errors(source);
  const auto adapters = adapter_bytes(source, report.layout);
  double bits = 0, weights = 0, error_sum = 0, adapter_bits = 0;
  for (const auto& [module, bytes] : adapters) adapter_bits += 8 * bytes;
  for (const auto& [name, entry] : config.matrices) {
    InspectedMatrix matrix;
    matrix.name = name;
    matrix.rows = entry.rows;
    matrix.columns = entry.columns;
    matrix.format = entry.format.describe();
    matrix.bits_per_weight = entry.format.bits_per_weight(entry.rows, entry.columns);
    for (const auto& tensor : quantized::tensors_of(name, entry)) {
      matrix.stored_bytes += source.info(tensor.name).bytes();
    }
    const auto found = errors.find(name);
    if (found != errors.end()) {
      matrix.relative_error = found->second;
      error_sum += found->second;
    }
    const auto size = static_cast<double>(entry.rows) * static_cast<double>(entry.columns);
    const auto adapted = adapters.find(name.substr(0, name.size() - kWeight.size()));
    matrix.total_bits_per_weight =
        matrix.bits_per_weight + (adapted == adapters.end() ? 0 : 8 * adapted->second / size);
    bits += matrix.bits_per_weight * size;
    weights += size;
    report.matrices.push_back(std::move(matrix));
  }
  if (weights > 0) {
    report.bits_per_weight = bits / weights;
    report.total_bits_per_weight = (bits + adapter_bits) / weights;
  }
  if (!report.matrices.empty() && errors.size() >= report.matrices.size()) {
    report.mean_relative_error = error_sum / static_cast<double>(report.matrices.size());
  }
  report.compression_ratio = kBytesOfBf16 * static_cast<double>(report.parameters) /
                             static_cast<double>(report.tensor_bytes);
}

// The type of the first norm or other dense weight.
ElementType dense_type(const quantized::ModelFiles& files) {
  for (std::size_t i = 0; i < files.layout().parameters.size(); ++i) {
    const auto id = static_cast<architecture::ParameterId>(i);
    if (files.packed(id) == nullptr) return files.type(id);
  }
  return ElementType::bf16;
}

// `dtype`: of the activations.
std::vector<MemoryRow> memory_table(const quantized::ModelFiles& files, const std::string& dtype,
                                    const InspectOptions& options) {
  const architecture::Layout& layout = files.layout();
  architecture::TrainingShape shape;
  shape.rows = options.batch;
  shape.length = options.tokens;
  shape.rank = options.rank;
  shape.checkpointing = options.checkpointing;
  shape.activations = dtype == "bf16" ? ElementType::bf16 : ElementType::f32;
  shape.weights = dense_type(files);
  std::vector<MemoryRow> table;
  table.push_back({"full", architecture::full_training_memory(layout, shape)});
  table.push_back({"lora", architecture::adapter_training_memory(layout, shape, std::nullopt)});
  for (const int bits : options.bits) {
    quant::Format format;
    format.bits = bits;
    format.validate();
    table.push_back({"qlora-" + std::to_string(bits),
                     architecture::adapter_training_memory(
                         layout, shape, [format](std::int64_t rows, std::int64_t columns) {
                           return format.bits_per_weight(rows, columns);
                         })});
  }
  return table;
}

}  // namespace

InspectReport inspect(const InspectOptions& options) {
  check_arithmetic({.dtype = options.dtype}, "cpu");
  for (const auto& [name, value] :
       {std::pair{"rank", options.rank}, {"batch", options.batch}, {"tokens", options.tokens}}) {
    if (value < 1) {
      throw InputError({{}, name}, "expected at least 1, found " + std::to_string(value));
    }
  }
  const quantized::ModelFiles files(checkpoint::resolve(options.model));
  const checkpoint::Checkpoint& source = files.source();
  InspectReport report;
  report.layout = files.layout();
  report.parameters = architecture::parameter_count(report.layout);
  for (const architecture::ParameterId id : architecture::linear_layers(report.layout)) {
    report.linear_parameters += report.layout.parameter(id).elements();
  }
  for (const auto& name : source.names()) report.tensor_bytes += source.info(name).bytes();
  report.dtype = choose({.dtype = options.dtype}, "cpu", source).arithmetic.dtype;
  report.memory = memory_table(files, report.dtype, options);
  if (files.quantization()) inspect_matrices(source, *files.quantization(), report);
  return report;
}

}  // namespace qloft::pipeline
