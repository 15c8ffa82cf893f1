#pragma once
// quantized: the quantized folder. A Hugging Face folder whose config.json has a
// quantization_config ("quant_method": "qloft") and whose safetensors hold each packed matrix as
// parts under its own name ("model.layers.0.self_attn.q_proj.weight.codes", "....weight.scales",
// ...). Bytes: docs/formats.md.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qloft/checkpoint.h"
#include "qloft/io.h"
#include "qloft/quant.h"

namespace qloft::quantized {

inline constexpr int kFormatVersion = 1;

// One packed matrix: what it is stored as, and its shape [rows, columns] = [out, in].
struct MatrixEntry {
  quant::Format format;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

// Keyed by weight name: "model.layers.0.self_attn.q_proj.weight".
struct QuantizationConfig {
  int version = kFormatVersion;
  std::map<std::string, MatrixEntry> matrices;
};

// One Format as JSON and back; what is missing or out of range is an InputError naming file and
// field.
io::Json format_to_json(const quant::Format& format);
quant::Format format_from_json(const io::Json& json, const std::filesystem::path& file,
                               const std::string& field);

// nullopt: the checkpoint has no quantization_config. Throws InputError for one of another
// quant_method, or of a newer version than this program knows.
std::optional<QuantizationConfig> read_config(const checkpoint::Checkpoint& source);
// The value of "quantization_config". Equal formats are written once and referred to.
io::Json to_json(const QuantizationConfig& config);
// And back; `file` is the config.json that it stands in. Throws as read_config.
QuantizationConfig config_from_json(const io::Json& json, const std::filesystem::path& file);

// The tensors that a packed matrix occupies, in file order.
std::vector<io::TensorInfo> tensors_of(const std::string& weight_name, const MatrixEntry& entry);
void write_matrix(checkpoint::Writer& writer, const std::string& weight_name,
                  const quant::PackedMatrix& matrix);
// Copies the parts out of the mapped file. Throws InputError naming a part that is missing or has
// another type or shape, and a matrix with a code that its code book does not have or a scale that
// is not finite.
quant::PackedMatrix read_matrix(const checkpoint::Checkpoint& source,
                                const std::string& weight_name, const MatrixEntry& entry);

}  // namespace qloft::quantized
