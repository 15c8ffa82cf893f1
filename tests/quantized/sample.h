#pragma once
// A quantized folder with one matrix of every kind of format: what tests/compat/v1 holds.

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/quantized.h"

namespace qloft::test {

inline std::vector<quant::Format> sample_formats() {
  using quant::Codebook, quant::ScaleRule, quant::ScaleCode, quant::SecondLevel;
  const auto f = [](int bits, Codebook codebook, std::int64_t block, ScaleRule rule,
                    ElementType type, std::optional<SecondLevel> second = {}) {
    return quant::Format{bits, codebook, block, rule, type, second};
  };
  const auto absmax = ScaleRule::absmax, mse = ScaleRule::mse;
  const auto f32 = ElementType::f32, f16 = ElementType::f16, bf16 = ElementType::bf16;
  return {f(4, Codebook::nf, 64, absmax, f32),
          f(3, Codebook::nf, 32, absmax, bf16),
          f(2, Codebook::nf, 0, absmax, f16),
          f(8, Codebook::nf, 16, mse, f32),
          f(5, Codebook::uniform, 16, absmax, f32),
          f(6, Codebook::uniform, 48, mse, bf16),
          f(7, Codebook::uniform, 4096, absmax, f32),
          f(4, Codebook::uniform_asymmetric, 32, absmax, f16),
          f(2, Codebook::lloyd, 64, mse, bf16),
          f(3, Codebook::lloyd, 16, absmax, f32),
          f(1, Codebook::binary, 32, absmax, f32),
          f(2, Codebook::ternary, 32, mse, f32),
          f(4, Codebook::nf, 64, absmax, f32, SecondLevel{}),
          f(2, Codebook::lloyd, 16, mse, f32, SecondLevel{3, 16, bf16, ScaleCode::uniform})};
}

inline std::string sample_name(std::size_t index) {
  return "matrix" + std::to_string(index) + ".weight";
}

// 5 x 70, so that no block divides a row; of every size, both signs, with zeros.
inline Matrix sample_weight(std::size_t index) {
  Matrix weight(5, 70);
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    const auto k = static_cast<std::uint32_t>(i * 2654435761u + index * 40503u);
    const int centred = static_cast<int>((k >> 8) % 513) - 256;
    weight.data()[i] = static_cast<float>(centred * std::abs(centred)) / 65536.f;
  }
  return weight;
}

inline quantized::QuantizationConfig sample_config() {
  quantized::QuantizationConfig config;
  const auto formats = sample_formats();
  for (std::size_t i = 0; i < formats.size(); ++i) {
    config.matrices[sample_name(i)] = {formats[i], 5, 70};
  }
  return config;
}

inline void write_sample(const std::filesystem::path& folder) {
  const quantized::QuantizationConfig config = sample_config();
  std::vector<io::TensorInfo> tensors;
  for (const auto& [name, entry] : config.matrices) {
    for (auto& info : quantized::tensors_of(name, entry)) tensors.push_back(std::move(info));
  }
  checkpoint::Writer writer(folder, tensors, checkpoint::Writer::Mode::create);
  const auto formats = sample_formats();
  for (std::size_t i = 0; i < formats.size(); ++i) {
    quantized::write_matrix(writer, sample_name(i),
                            quant::quantize(sample_weight(i).view(), formats[i]));
  }
  writer.finish();
  io::write_json(folder / "config.json",
                 {{"model_type", "llama"}, {"quantization_config", quantized::to_json(config)}});
}

inline Matrix dequantized(const quant::PackedMatrix& packed) {
  Matrix out(packed.rows(), packed.columns());
  quant::dequantize(packed, out.view());
  return out;
}

}  // namespace qloft::test
