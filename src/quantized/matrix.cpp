#include <cstring>
#include <string>

#include "qloft/core/error.h"
#include "qloft/quantized.h"

namespace qloft::quantized {
namespace {

std::string part_name(const std::string& weight_name, const quant::Part& part) {
  return weight_name + "." + std::string(part.suffix);
}

std::string describe(ElementType type, const std::vector<std::int64_t>& shape) {
  std::string text(safetensors_name(type));
  text += " [";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace

std::vector<io::TensorInfo> tensors_of(const std::string& weight_name, const MatrixEntry& entry) {
  std::vector<io::TensorInfo> out;
  for (const quant::Part& part : quant::parts(entry.format, entry.rows, entry.columns)) {
    io::TensorInfo info;
    info.name = part_name(weight_name, part);
    info.type = part.type;
    info.shape = part.shape;
    out.push_back(std::move(info));
  }
  return out;
}

void write_matrix(checkpoint::Writer& writer, const std::string& weight_name,
                  const quant::PackedMatrix& matrix) {
  const std::vector<quant::Part> parts = matrix.parts();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    writer.write(part_name(weight_name, parts[i]), matrix.bytes(i));
  }
}

quant::PackedMatrix read_matrix(const checkpoint::Checkpoint& source,
                                const std::string& weight_name, const MatrixEntry& entry) {
  const std::vector<quant::Part> parts = quant::parts(entry.format, entry.rows, entry.columns);
  // All of them, before the matrix that config.json claims is allocated.
  for (const quant::Part& part : parts) {
    const std::string name = part_name(weight_name, part);
    if (!source.contains(name)) {
      throw InputError({source.folder(), name},
                       "expected this part of a packed matrix, found none");
    }
    const io::TensorInfo& info = source.info(name);
    if (info.type != part.type || info.shape != part.shape) {
      throw InputError({source.folder(), name}, "expected " + describe(part.type, part.shape) +
                                                    " by config.json, found " +
                                                    describe(info.type, info.shape));
    }
  }
  quant::PackedMatrix matrix(entry.format, entry.rows, entry.columns);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto bytes = source.bytes(part_name(weight_name, parts[i]));
    if (!bytes.empty()) std::memcpy(matrix.bytes(i).data(), bytes.data(), bytes.size());
  }
  if (!quant::is_valid(matrix)) {
    throw InputError({source.folder(), weight_name},
                     "expected codes of its code book and finite scales, found others");
  }
  return matrix;
}

}  // namespace qloft::quantized
