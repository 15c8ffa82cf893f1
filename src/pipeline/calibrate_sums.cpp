#include "calibrate_sums.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "qloft/core.h"
#include "qloft/io.h"
#include "qloft/statistics.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

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

std::vector<float> read_triangle(const io::SafetensorsFile& stored, const std::string& module,
                                 std::int64_t n) {
  const io::TensorInfo expected = statistics::gram_tensor(module, n);
  const io::TensorInfo* tensor = stored.find(expected.name);
  if (tensor == nullptr || tensor->type != expected.type || tensor->shape != expected.shape) {
    throw InputError({stored.path(), expected.name},
                     "expected " + std::to_string(expected.shape[0]) + " sums in F32");
  }
  const auto bytes = stored.bytes(*tensor);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

std::int64_t read_sums(const fs::path& file, std::int64_t total, const architecture::Layout& layout,
                       calibrate::Fisher& fisher, calibrate::GramSums* grams) {
  std::error_code error;
  if (!fs::exists(file, error)) return 0;
  const io::SafetensorsFile stored(file);
  for (const architecture::ParameterId id : architecture::multiplied(layout)) {
    const architecture::Parameter& parameter = layout.parameter(id);
    const std::string name = parameter.module();
    if (stored.find(name + ".rows") == nullptr) continue;  // no sequence reached it
    fisher[name] = {read_sums(stored, name + ".rows", parameter.rows()),
                    read_sums(stored, name + ".columns", parameter.columns())};
  }
  if (grams != nullptr) {
    for (auto& [module, sum] : grams->sums()) sum.set(read_triangle(stored, module, sum.size()));
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

void write_sums(const fs::path& file, const calibrate::Fisher& fisher, calibrate::GramSums* grams,
                std::int64_t sequences) {
  std::vector<io::NamedBytes> tensors;
  const auto add = [&](const std::string& name, const std::vector<double>& sums) {
    io::TensorInfo info;
    info.name = name;
    info.type = ElementType::f64;
    info.shape = {std::ssize(sums)};
    tensors.push_back({info, std::as_bytes(std::span(sums))});
  };
  for (const auto& [name, sums] : fisher) {
    add(name + ".rows", sums.rows);
    add(name + ".columns", sums.columns);
  }
  if (grams != nullptr) {
    for (auto& [module, sum] : grams->sums()) {
      tensors.push_back(
          {statistics::gram_tensor(module, sum.size()), std::as_bytes(sum.triangle())});
    }
  }
  io::write_safetensors(file, tensors, {{"sequences", std::to_string(sequences)}});
}

}  // namespace qloft::pipeline
