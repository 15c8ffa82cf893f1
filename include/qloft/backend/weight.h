#pragma once
// A weight matrix as a model holds it: one of several storages, and its products with activations
// by the operations of the device that the activations are on.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <variant>

#include "qloft/core/matrix.h"
#include "qloft/quant.h"

namespace qloft::backend {

using Dense = at::Tensor;  // [rows, columns] in f32, bf16 or f16
using Packed = std::shared_ptr<const quant::PackedMatrix>;
struct PackedTensors;  // a packed matrix on another device than the CPU, unpacked there
struct TrainedScales;

// A matrix [rows, columns]. On the CPU it is read a tile of rows at a time, so that a 16-bit or
// packed weight is never held as f32 as a whole.
struct Weight {
  std::variant<Dense, Packed> storage;
  bool int8 = false;                                  // its products on the CPU are in 8 bits
  std::shared_ptr<const PackedTensors> tensors = {};  // of a packed one, for activations elsewhere
  std::shared_ptr<const TrainedScales> scales = {};   // of a packed one whose scales are trained

  bool is_packed() const { return std::holds_alternative<Packed>(storage); }
  const quant::PackedMatrix& packed() const { return *std::get<Packed>(storage); }
  // Undefined where packed.
  const Dense& dense() const {
    static const Dense kUndefined;
    return is_packed() ? kUndefined : std::get<Dense>(storage);
  }

  bool defined() const { return is_packed() || dense().defined(); }
  std::int64_t rows() const { return is_packed() ? packed().rows() : dense().size(0); }
  std::int64_t columns() const { return is_packed() ? packed().columns() : dense().size(1); }
};

// A weight for activations on `device`. There a packed matrix takes its stored bits and its scales
// as f32, and is unpacked a matrix at a time for each product; one whose columns are no multiple of
// 32 is unpacked on the CPU.
Weight packed_weight(Packed packed, at::Device device);

// Block scales that are trained (the step sizes of EfficientQAT, Chen et al. 2024): those that the
// matrix had, times factors, which begin at 1.
struct TrainedScales {
  std::shared_ptr<quant::PackedMatrix> matrix;  // the weight's own
  Matrix initial;                               // [rows, blocks of a row]
  at::Tensor factors;  // f32, as many, where the activations are; requires gradients
};

// packed_weight() of a matrix with trained scales.
Weight with_trained_scales(std::shared_ptr<quant::PackedMatrix> packed, at::Device device);
// Puts the scales as their factors have them now into the matrix, rounded as its format stores
// them. linear() does so before it multiplies; nothing where no scales are trained.
void store_scales(const Weight& weight);
// The gradient of the factors where the product of activations x [n, columns] with the weight has
// the gradient dy [n, rows]: sums over blocks of dy^T x times the codes' values and the scale, as
// if storing scales did not round. A slice of rows of dy^T x is made at a time.
at::Tensor scale_gradients(const at::Tensor& dy, const at::Tensor& x, const Weight& weight);

// A dense matrix on the CPU, not trained, as decoding reads it soonest where bytes are looked up:
// in 8 bits (NF8 in blocks of 64, 8.5 bits a weight). Any other is given back as it is.
Weight in_eight_bits(const Weight& weight);

// Both take activations [n, ...] in f32 or bf16, contiguous, and return the same type, without
// gradients. On the CPU bf16 products run in bf16 where the processor has units for it, else in f32
// with one rounding at the end.
// x [n, columns] -> x * weight^T [n, rows].
at::Tensor multiply_transposed(const at::Tensor& x, const Weight& weight);
// y [n, rows] -> y * weight [n, columns].
at::Tensor multiply(const at::Tensor& y, const Weight& weight);

// The rows of the weight that ids [...] name: [..., columns] in `dtype`. Gradients go to a dense
// weight that requires them.
at::Tensor look_up(const Weight& weight, const at::Tensor& ids, at::ScalarType dtype);

}  // namespace qloft::backend
