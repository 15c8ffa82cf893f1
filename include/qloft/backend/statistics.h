#pragma once
// What calibration sums up of a linear layer's activations, on the device that they are on.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace qloft::backend {

// A sum of x^T x over activations x [tokens, n], f32 or bf16. On a processor with bf16 units, bf16
// activations are multiplied by these: products of theirs are exact, sums are f32.
class GramSum {
 public:
  GramSum(std::int64_t n, at::Device device);

  std::int64_t size() const { return n_; }
  void add(const at::Tensor& x);
  // The upper triangle row by row, n (n + 1) / 2 values, as long as nothing is added.
  std::span<const float> triangle();
  // Begins with this sum.
  void set(std::span<const float> triangle);

 private:
  std::int64_t n_;
  at::Tensor sums_;      // as add_gram takes them
  at::Tensor triangle_;  // of a device other than the CPU
};

// gram = gram + x^T x. gram is f32 on x's device: on the CPU the upper triangle row by row, n (n +
// 1) / 2 values, elsewhere [n, n], of which the upper triangle counts.
void add_gram(const at::Tensor& x, at::Tensor& gram);

// sums = sums + x^T y: x [tokens, m], y [tokens, n], f32 or bf16 on one device, sums f32 [m, n] on
// that too. What GramSum says of bf16 holds.
void add_products(const at::Tensor& x, const at::Tensor& y, at::Tensor& sums);

// Sums of the squares of g = dy^T x by row [out] and by column [in].
struct SquareSums {
  std::vector<double> rows;
  std::vector<double> columns;
};

// dy [tokens, out], x [tokens, in], f32 or bf16 on one device; what GramSum says of bf16 holds for
// g. A part of g is made at a time: it is never held as a whole.
SquareSums squared_products(const at::Tensor& dy, const at::Tensor& x);

}  // namespace qloft::backend
