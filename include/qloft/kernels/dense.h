#pragma once
// kernels: loops over dense f32 and bf16 rows that the decoder runs outside its matrix products.
// They round as the vector units do: sums in several lanes, fused multiply-add where there is one.

#include <cstdint>

#include "qloft/core/cpu.h"
#include "qloft/core/element.h"

namespace qloft::kernels {

// Values that share a scale in rows of 8-bit codes.
inline constexpr std::int64_t kCodeBlock = 32;

struct DenseTable {
  InstructionSet set = InstructionSet::portable;

  // y[k * rows + i] = sum over j of w[i * stride + j] * x[k * count + j], i < rows, k < inputs, j <
  // count. The same bits however many rows and inputs there are.
  void (*rows_dot_f32)(const float* w, std::int64_t stride, std::int64_t rows, const float* x,
                       std::int64_t inputs, std::int64_t count, float* y);
  void (*rows_dot_bf16)(const BFloat16* w, std::int64_t stride, std::int64_t rows, const float* x,
                        std::int64_t inputs, std::int64_t count, float* y);
  // y[j] += sum over i of p[i] * w[i * stride + j], i < rows, j < count.
  void (*add_weighted_rows)(const float* w, std::int64_t stride, std::int64_t rows, const float* p,
                            std::int64_t count, float* y);

  // by_row[i] += sum over j of x[i * count + j]^2, by_column[j] += the sum of these over i; i <
  // rows, j < count.
  void (*add_squares)(const float* x, std::int64_t rows, std::int64_t count, float* by_row,
                      float* by_column);

  // A row of `count` values to codes of -127 to 127 and a scale for each kCodeBlock of them, the
  // last block shorter: scale = bf16(largest magnitude / 127), code = value / scale, rounded to
  // nearest, ties to even. A block with infinity or NaN has NaN as its scale and codes 0. The same
  // bits in all sets.
  void (*to_codes)(const float* x, std::int64_t count, std::int8_t* codes, BFloat16* scales);
  // out[i * count + j] = codes[i * count + j] * scale of its block, i < rows, j < count; a row has
  // ceil(count / kCodeBlock) scales.
  void (*from_codes)(const std::int8_t* codes, const BFloat16* scales, std::int64_t rows,
                     std::int64_t count, float* out);
  // Each kCodeBlock values of a row, x [rows, count], times the Hadamard matrix of ones and minus
  // ones in Sylvester's order; a last block whose length n is no power of two stays as it is. The
  // inverse divides by n, too. The same bits in all sets.
  void (*hadamard)(float* x, std::int64_t rows, std::int64_t count);
  void (*inverse_hadamard)(float* x, std::int64_t rows, std::int64_t count);

  // The largest value; minus infinity for count 0, NaN where one of them is.
  float (*largest)(const float* x, std::int64_t count);
  // x[j] = e^(x[j] - shift), within 2 units in the last place, below e^-87 of no consequence, NaN
  // where x[j] or shift is; returns their sum.
  float (*exponentials)(float* x, std::int64_t count, float shift);
  // p[j] = e^(scale p[j] - shift) as above, then d[j] = p[j] (d[j] - dot).
  void (*softmax_gradient)(float* p, float* d, std::int64_t count, float scale, float shift,
                           float dot);

  // out = silu(g) u.
  void (*swiglu)(const float* g, const float* u, std::int64_t count, float* out);
  // With s = sigmoid(g): dg = d u s (1 + g (1 - s)), du = d g s.
  void (*swiglu_gradient)(const float* g, const float* u, const float* d, std::int64_t count,
                          float* dg, float* du);

  // value[j] = x[j] P(x[j]) and its slope at x[j] (Hendrycks & Gimpel 2016): gelu by the normal
  // distribution's P, within 2e-7 (1 + |x|) (Abramowitz & Stegun 1964, 7.1.26); gelu_tanh by
  // 0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
  void (*gelu)(const float* x, std::int64_t count, float* value, float* slope);
  void (*gelu_tanh)(const float* x, std::int64_t count, float* value, float* slope);
};

// The table of one instruction set. It may only be called where this machine supports the set.
const DenseTable& dense_table(InstructionSet set);
// The table of core's chosen_instruction_set(), chosen once.
const DenseTable& dense_table();

}  // namespace qloft::kernels
