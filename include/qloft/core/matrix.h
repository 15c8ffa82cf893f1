#pragma once
// Row-major matrices: a view that owns nothing, and the f32 value that the decompositions use.

#include <cstdint>
#include <span>
#include <vector>

#include "qloft/core/large_pages.h"

namespace qloft {

// rows x columns elements; row i begins at data + i * stride (stride in elements, >= columns).
template <typename T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* data_, std::int64_t rows_, std::int64_t columns_)
      : MatrixView(data_, rows_, columns_, columns_) {}
  MatrixView(T* data_, std::int64_t rows_, std::int64_t columns_, std::int64_t stride_)
      : data(data_), rows(rows_), columns(columns_), stride(stride_) {}
  // A mutable view converts to a const one.
  operator MatrixView<const T>() const { return {data, rows, columns, stride}; }

  T* row(std::int64_t i) const { return data + i * stride; }
  T& operator()(std::int64_t i, std::int64_t j) const { return data[i * stride + j]; }
  std::int64_t size() const { return rows * columns; }
  bool contiguous() const { return stride == columns || rows <= 1; }
  MatrixView block(std::int64_t i, std::int64_t j, std::int64_t r, std::int64_t c) const {
    return {data + i * stride + j, r, c, stride};
  }
};

// A dense f32 matrix that owns its elements, row by row without gaps, zero at first.
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::int64_t rows, std::int64_t columns)
      : rows_(rows), columns_(columns), values_(static_cast<std::size_t>(rows * columns)) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t size() const { return rows_ * columns_; }
  bool empty() const { return values_.empty(); }
  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }
  std::span<float> values() { return values_; }
  std::span<const float> values() const { return values_; }
  float& operator()(std::int64_t i, std::int64_t j) {
    return values_[static_cast<std::size_t>(i * columns_ + j)];
  }
  float operator()(std::int64_t i, std::int64_t j) const {
    return values_[static_cast<std::size_t>(i * columns_ + j)];
  }
  MatrixView<float> view() { return {values_.data(), rows_, columns_}; }
  MatrixView<const float> view() const { return {values_.data(), rows_, columns_}; }

 private:
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  std::vector<float, LargePageAllocator<float>> values_;
};

// The symmetric n x n matrix of which the first n (n + 1) / 2 values of `triangle` are the upper
// triangle row by row, times `factor`.
inline Matrix symmetric(std::span<const float> triangle, std::int64_t n, float factor = 1.f) {
  Matrix out(n, n);
  std::size_t at = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i; j < n; ++j) out(i, j) = out(j, i) = triangle[at++] * factor;
  }
  return out;
}

}  // namespace qloft
