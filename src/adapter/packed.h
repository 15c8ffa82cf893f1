#pragma once
// A factor stored in 8 bits (LQ-LoRA's compression of adapters, Guo et al. 2023, section 5.2): NF8
// codes in blocks of 64 along the rank's vectors, so A as it is and B transposed, scales in f16.

#include <cstdint>
#include <string>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/core/matrix.h"
#include "qloft/io.h"
#include "qloft/quant.h"

namespace qloft::adapter {

// The suffixes of the two tensors of a factor.
inline constexpr const char* kCodes = ".codes";
inline constexpr const char* kScales = ".scales";

// [rank, length] codes (U8) and their scales [rank, ceil(length / 64)] (F16), in file order.
std::vector<io::TensorInfo> packed_tensors(const std::string& name, std::int64_t rank,
                                           std::int64_t length);
// `vectors` [rank, length] packed; part i of it is tensor i.
quant::PackedMatrix pack(MatrixView<const float> vectors);
// And back. Throws InputError naming the tensors' file where they do not fit each other.
Matrix unpack(const io::SafetensorsFile& file, const io::TensorInfo& codes,
              const io::TensorInfo* scales);

Matrix transposed(MatrixView<const float> a);
// B^T and A^T in the places of A and B: of an embedding, between PEFT's factors and ours.
Factors exchanged(const Factors& factors);

}  // namespace qloft::adapter
