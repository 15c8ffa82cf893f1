#include "operations.h"

namespace qloft::backend {

using at::Tensor;

Tensor multiply_transposed(const Tensor& x, const Weight& weight) {
  return operations_for(x).multiply_transposed(x, weight);
}
Tensor multiply(const Tensor& y, const Weight& weight) {
  return operations_for(y).multiply(y, weight);
}
Tensor look_up(const Weight& weight, const Tensor& ids, at::ScalarType dtype) {
  return operations_for(ids).look_up(weight, ids, dtype);
}
Tensor rms_norm(const Tensor& x, const Tensor& weight, double epsilon, double offset) {
  return operations_for(x).rms_norm(x, weight, epsilon, offset);
}
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon) {
  return operations_for(x).layer_norm(x, weight, bias, epsilon);
}
Tensor rotate(const Tensor& x, const Rotation& rotation) {
  return operations_for(x).rotate(x, rotation);
}
Tensor activate(const Tensor& x, Activation activation) {
  return operations_for(x).activate(x, activation);
}
Tensor gate(const Tensor& gate_value, const Tensor& up, Activation activation) {
  return operations_for(up).gate(gate_value, up, activation);
}
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Visibility& visibility,
                 const Scores& scores) {
  return operations_for(q).attention(q, k, v, visibility, scores);
}
Tensor attention_over_caches(const Tensor& q, std::span<const CachedSequence> sequences,
                             std::int64_t window, const Scores& scores) {
  return operations_for(q).attention_over_caches(q, sequences, window, scores);
}
void store(const CachedHeads& cache, std::int64_t first, const Tensor& x) {
  operations_for(x).store(cache, first, x);
}
Tensor read(const CachedHeads& cache, std::int64_t count, at::ScalarType type) {
  return operations_for(cache.values).read(cache, count, type);
}
void add_gram(const Tensor& x, Tensor& gram) {
  operations_for(x).add_gram(x, gram);
}
void add_products(const Tensor& x, const Tensor& y, Tensor& sums) {
  operations_for(x).add_products(x, y, sums);
}
SquareSums squared_products(const Tensor& dy, const Tensor& x) {
  return operations_for(x).squared_products(dy, x);
}

}  // namespace qloft::backend
