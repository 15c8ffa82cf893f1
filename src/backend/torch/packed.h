#pragma once
// A packed matrix as tensors of any device, unpacked there by torch's operators to the same values
// as quant::dequantize gives.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "qloft/backend/weight.h"

namespace qloft::backend {

struct PackedTensors {
  // Where a part of each code of a group lies (kernels::CodeField).
  struct Plane {
    at::Tensor bytes;   // int64 [32]
    at::Tensor shifts;  // u8 [32]
    int mask = 0;
    int to = 0;
  };

  at::Tensor codes;  // u8 [rows, groups, bytes of a group]
  std::vector<Plane> planes;
  at::Tensor values;       // f32, by code, or by window of `bits` a row
  int window_bits = 0;     // of a code in a window; 0: codes stand for values themselves
  at::Tensor scales;       // f32 [rows, blocks]
  at::Tensor offsets;      // the same, or undefined
  std::int64_t block = 0;  // columns of one scale
};

// Null where the matrix has columns beyond its last group of 32 codes.
std::shared_ptr<const PackedTensors> packed_tensors(const quant::PackedMatrix& packed,
                                                    at::Device device);

// All rows [rows, columns] in `dtype`, a slice of rows at a time.
at::Tensor unpack(const PackedTensors& packed, at::ScalarType dtype);

}  // namespace qloft::backend
