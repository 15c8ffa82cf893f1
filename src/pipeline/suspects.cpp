#include "suspects.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/io.h"
#include "qloft/io/fields.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// Weights and optimizer states of models that work stay orders of magnitude below.
constexpr float kBeyondReason = 1e6F;
constexpr std::size_t kElementsAtOnce = std::size_t{1} << 16;

struct Largest {
  float value = 0;
  ErrorLocation where;
};

bool is_float(ElementType type) {
  return type == ElementType::f32 || type == ElementType::bf16 || type == ElementType::f16;
}

float largest_of(std::span<const std::byte> bytes, ElementType type) {
  float largest = 0;
  std::vector<float> values;
  const std::size_t step = kElementsAtOnce * byte_size(type);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const auto part = bytes.subspan(at, std::min(step, bytes.size() - at));
    values.resize(part.size() / byte_size(type));
    checkpoint::convert_to_f32(part, type, values);
    for (const float value : values) {
      if (!std::isfinite(value)) return std::numeric_limits<float>::infinity();
      largest = std::max(largest, std::abs(value));
    }
  }
  return largest;
}

void look_into(const fs::path& path, Largest& largest) {
  const io::SafetensorsFile file(path);
  for (const io::TensorInfo& tensor : file.tensors()) {
    if (!is_float(tensor.type)) continue;
    const float value = largest_of(file.bytes(tensor), tensor.type);
    if (value > largest.value) largest = {value, {path, tensor.name}};
    file.drop(tensor);
  }
}

// What the products of an adapter's factors are multiplied by.
void look_into_alphas(const fs::path& file, Largest& largest) {
  const io::Json json = io::read_json(file);
  const io::Field config(json, file);
  const auto take = [&](const io::Field& alpha) {
    const auto value = static_cast<float>(std::abs(alpha.number()));
    if (value > largest.value) largest = {value, {file, alpha.path()}};
  };
  if (const auto alpha = config.find("lora_alpha")) take(*alpha);
  if (const auto own = config.find("alpha_pattern")) {
    for (const auto& [module, alpha] : own->members()) take(alpha);
  }
}

void look_into_file(const fs::path& file, Largest& largest) {
  file.extension() == ".json" ? look_into_alphas(file, largest) : look_into(file, largest);
}

std::vector<fs::path> files_of(const std::vector<fs::path>& read) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::path& path : read) {
    if (fs::is_regular_file(path, error)) files.push_back(path);
    if (!fs::is_directory(path, error)) continue;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const fs::path& file = entry.path();
      const bool wanted =
          file.extension() == ".safetensors" || file.filename() == "adapter_config.json";
      if (wanted) files.push_back(file);
    }
  }
  return files;
}

}  // namespace

void rethrow_at_largest(const std::vector<fs::path>& read) {
  try {
    throw;
  } catch (const ComputationError& error) {
    Largest largest;
    try {
      for (const fs::path& file : files_of(read)) look_into_file(file, largest);
    } catch (const Error&) {
      largest = {};  // one that was replaced meanwhile
    }
    if (largest.value < kBeyondReason) throw;
    char text[64] = "holds infinity or NaN; ";
    if (std::isfinite(largest.value)) {
      std::snprintf(text, sizeof text, "holds values of up to %.2g, most likely too large; ",
                    static_cast<double>(largest.value));
    }
    throw ComputationError(largest.where, text + std::string(error.what()));
  }
}

}  // namespace qloft::pipeline
