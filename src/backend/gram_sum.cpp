#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "qloft/backend/statistics.h"
#include "qloft/core/error.h"
#include "qloft/linalg.h"

namespace qloft::backend {
namespace {

// body(row of the square, its part in the triangle, how many): elements on and behind the diagonal.
template <typename Body>
void for_rows(std::int64_t n, float* square, float* triangle, const Body& body) {
  for (std::int64_t i = 0; i < n; ++i) {
    body(square + i * n + i, triangle + linalg::triangle_row(i, n) + i, n - i);
  }
}

}  // namespace

GramSum::GramSum(std::int64_t n, at::Device device) : n_(n) {
  const auto options = at::TensorOptions(at::kFloat).device(device);
  sums_ = device.is_cpu() ? at::zeros({n * (n + 1) / 2}, options) : at::zeros({n, n}, options);
}

void GramSum::add(const at::Tensor& x) {
  add_gram(x, sums_);
}

std::span<const float> GramSum::triangle() {
  const auto count = static_cast<std::size_t>(n_ * (n_ + 1) / 2);
  if (sums_.is_cpu()) return {sums_.data_ptr<float>(), count};
  const at::Tensor square = sums_.cpu();
  triangle_ = at::empty({n_ * (n_ + 1) / 2}, at::kFloat);
  for_rows(n_, square.data_ptr<float>(), triangle_.data_ptr<float>(),
           [](const float* from, float* to, std::int64_t size) { std::copy_n(from, size, to); });
  return {triangle_.data_ptr<float>(), count};
}

void GramSum::set(std::span<const float> triangle) {
  if (std::ssize(triangle) != n_ * (n_ + 1) / 2) {
    throw Error({{}, "gram"}, "expected a triangle of " + std::to_string(n_) + " rows, found " +
                                  std::to_string(triangle.size()) + " values");
  }
  at::Tensor values = at::empty({std::ssize(triangle)}, at::kFloat);
  std::ranges::copy(triangle, values.data_ptr<float>());
  if (sums_.is_cpu()) {
    sums_ = values;
    return;
  }
  at::Tensor square = at::zeros({n_, n_}, at::kFloat);
  for_rows(n_, square.data_ptr<float>(), values.data_ptr<float>(),
           [](float* to, const float* from, std::int64_t size) { std::copy_n(from, size, to); });
  sums_.copy_(square);
}

}  // namespace qloft::backend
