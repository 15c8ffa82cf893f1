#include "packed.h"

#include <algorithm>
#include <string>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::adapter {
namespace {

constexpr quant::Format kFormat = {.bits = 8,
                                   .codebook = quant::Codebook::nf,
                                   .block = 64,
                                   .scale_type = ElementType::f16,
                                   .second_level = {}};

}  // namespace

std::vector<io::TensorInfo> packed_tensors(const std::string& name, std::int64_t rank,
                                           std::int64_t length) {
  std::vector<io::TensorInfo> out;
  for (const quant::Part& part : quant::parts(kFormat, rank, length)) {
    io::TensorInfo info;
    info.name = name + "." + std::string(part.suffix);
    info.type = part.type;
    info.shape = part.shape;
    out.push_back(std::move(info));
  }
  return out;
}

quant::PackedMatrix pack(MatrixView<const float> vectors) {
  return quant::quantize(vectors, kFormat);
}

Matrix unpack(const io::SafetensorsFile& file, const io::TensorInfo& codes,
              const io::TensorInfo* scales) {
  const std::string name = codes.name.substr(0, codes.name.size() - std::string(kCodes).size());
  if (scales == nullptr) {
    throw InputError({file.path(), name + kScales}, "expected scales beside the codes, found none");
  }
  if (codes.shape.size() != 2) {
    throw InputError({file.path(), codes.name}, "expected codes [rank, length]");
  }
  quant::PackedMatrix packed(kFormat, codes.shape[0], codes.shape[1]);
  const auto expected = packed_tensors(name, codes.shape[0], codes.shape[1]);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const io::TensorInfo& found = i == 0 ? codes : *scales;
    if (found.name != expected[i].name || found.type != expected[i].type ||
        found.shape != expected[i].shape) {
      throw InputError({file.path(), found.name},
                       "expected " + expected[i].name + " of type " +
                           std::string(safetensors_name(expected[i].type)) +
                           " for the codes beside it");
    }
    std::ranges::copy(file.bytes(found), packed.bytes(i).begin());
  }
  if (!quant::is_valid(packed)) {
    throw InputError({file.path(), scales->name}, "expected finite scales");
  }
  Matrix out(packed.rows(), packed.columns());
  quant::dequantize(packed, out.view());
  return out;
}

Matrix transposed(MatrixView<const float> a) {
  Matrix out(a.columns, a.rows);
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) out(j, i) = a(i, j);
  }
  return out;
}

Factors exchanged(const Factors& factors) {
  return {transposed(factors.b.view()), transposed(factors.a.view())};
}

}  // namespace qloft::adapter
