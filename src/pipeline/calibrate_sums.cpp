#include "calibrate_sums.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "qloft/core.h"
#include "qloft/io.h"
#include "qloft/statistics.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWeights = ".token_weights";
constexpr double kLargestSum = 1e76;  // beyond, a root mean would be none that f32 holds

std::vector<double> read_sums(const io::SafetensorsFile& stored, const std::string& name,
                              std::int64_t size) {
  const io::TensorInfo* tensor = stored.find(name);
  if (tensor == nullptr || tensor->type != ElementType::f64 ||
      tensor->shape != std::vector<std::int64_t>{size}) {
    throw InputError({stored.path(), name}, "expected " + std::to_string(size) + " sums in F64");
  }
  std::vector<double> sums(static_cast<std::size_t>(size));
  const auto bytes = stored.bytes(*tensor);
  std::memcpy(sums.data(), bytes.data(), bytes.size());
  if (!std::ranges::all_of(sums, [](double sum) { return sum >= 0 && sum <= kLargestSum; })) {
    throw InputError({stored.path(), name}, "expected sums of squares, found other values");
  }
  return sums;
}

std::vector<float> values_of(const io::SafetensorsFile& stored, const io::TensorInfo& tensor) {
  const auto bytes = stored.bytes(tensor);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<float> read_triangle(const io::SafetensorsFile& stored, const std::string& module,
                                 std::int64_t n) {
  const io::TensorInfo expected = statistics::gram_tensor(module, n);
  const io::TensorInfo* tensor = stored.find(expected.name);
  if (tensor == nullptr || tensor->type != expected.type || tensor->shape != expected.shape) {
    throw InputError({stored.path(), expected.name},
                     "expected " + std::to_string(expected.shape[0]) + " sums in F32");
  }
  return values_of(stored, *tensor);
}

// How many there are of a module depends on the tokens that were routed to it.
std::vector<float> read_weights(const io::SafetensorsFile& stored, const io::TensorInfo& tensor) {
  if (tensor.type != ElementType::f32 || tensor.shape.size() != 1) {
    throw InputError({stored.path(), tensor.name}, "expected a list in F32");
  }
  std::vector<float> values = values_of(stored, tensor);
  if (!std::ranges::all_of(values,
                           [](float value) { return std::isfinite(value) && value >= 0; })) {
    throw InputError({stored.path(), tensor.name}, "expected weights, found other values");
  }
  return values;
}

}  // namespace

std::int64_t read_sums(const fs::path& file, std::int64_t total, const architecture::Layout& layout,
                       const calibrate::SequenceSums& sums) {
  std::error_code error;
  if (!fs::exists(file, error)) return 0;
  const io::SafetensorsFile stored(file);
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    const std::string name = parameter.module();
    const io::TensorInfo* weights = stored.find(name + kWeights);
    if (sums.weights != nullptr && weights != nullptr) {
      (*sums.weights)[name] = read_weights(stored, *weights);
    }
    if (sums.fisher == nullptr || stored.find(name + ".rows") == nullptr) continue;  // not reached
    (*sums.fisher)[name] = {read_sums(stored, name + ".rows", parameter.rows()),
                            read_sums(stored, name + ".columns", parameter.columns())};
  }
  if (sums.grams != nullptr) {
    for (auto& [module, sum] : sums.grams->sums()) {
      sum.set(read_triangle(stored, module, sum.size()));
    }
  }
  const auto count = stored.metadata().find("sequences");
  std::int64_t done = -1;
  if (count != stored.metadata().end()) {
    const std::string& text = count->second;
    std::from_chars(text.data(), text.data() + text.size(), done);
  }
  if (done < 0 || done > total) {
    throw InputError({file, "sequences"}, "expected 0 to " + std::to_string(total));
  }
  return done;
}

void write_sums(const fs::path& file, const calibrate::SequenceSums& sums, std::int64_t sequences) {
  std::vector<io::NamedBytes> tensors;
  const auto add = [&](const std::string& name, ElementType type, const auto& values) {
    io::TensorInfo info;
    info.name = name;
    info.type = type;
    info.shape = {std::ssize(values)};
    tensors.push_back({info, std::as_bytes(std::span(values))});
  };
  if (sums.fisher != nullptr) {
    for (const auto& [name, factors] : *sums.fisher) {
      add(name + ".rows", ElementType::f64, factors.rows);
      add(name + ".columns", ElementType::f64, factors.columns);
    }
  }
  if (sums.weights != nullptr) {
    for (const auto& [name, weights] : *sums.weights) {
      add(name + kWeights, ElementType::f32, weights);
    }
  }
  if (sums.grams != nullptr) {
    for (auto& [module, sum] : sums.grams->sums()) {
      tensors.push_back(
          {statistics::gram_tensor(module, sum.size()), std::as_bytes(sum.triangle())});
    }
  }
  io::write_safetensors(file, tensors, {{"sequences", std::to_string(sequences)}});
}

}  // namespace qloft::pipeline
