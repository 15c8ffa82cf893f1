#include <algorithm>
#include <cmath>
#include <vector>

#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// What is left of a block after the space at hand was taken out of it, relative to the block, below
// which the space is taken as complete: f32 rounding is all that is left.
constexpr double kNothingNew = 2e-6;
// Inner products between the space and a new block: up to the first they are rounding, up to the
// second taking them out leaves the block orthonormal.
constexpr float kOrthogonal = 1e-6f;
constexpr float kNearlyOrthogonal = 1e-4f;
// Where this part of every column, measured by their mean, was left and is a direction of its own,
// that magnified rounding by too little to matter.
constexpr double kMuchLeft = 0.01;
// Rounds of taking the space out of a block before both are made orthonormal together.
constexpr int kRounds = 3;

// Orthonormal columns that grow block by block, in one allocation.
class Basis {
 public:
  Basis(std::int64_t rows, std::int64_t capacity) : columns_(rows, capacity) {}

  std::int64_t size() const { return size_; }
  MatrixView<float> all() { return block(0, size_); }
  MatrixView<float> block(std::int64_t first, std::int64_t count) {
    return columns_.view().block(0, first, columns_.rows(), count);
  }
  MatrixView<float> room(std::int64_t count) { return block(size_, count); }

  // Takes the block that was written to room(count) and is orthonormal already.
  void take_orthonormal(std::int64_t count) { size_ += count; }

  // Takes the block that was written to room(count); false, without it, where it holds nothing new.
  bool take(std::int64_t count) {
    MatrixView<float> fresh = room(count);
    const double before = frobenius_norm(fresh);
    if (!(before > 0.0)) return false;
    if (size_ == 0) {
      orthonormalize(fresh);
    } else {
      remove_span(fresh);
      if (frobenius_norm(fresh) <= kNothingNew * before) return false;
      const Matrix r = orthonormalize(fresh);
      const double column = before / std::sqrt(static_cast<double>(count));
      double least = column;
      for (std::int64_t j = 0; j < count; ++j) least = std::min<double>(least, r(j, j));
      if (least < kMuchLeft * column) separate(fresh);
    }
    size_ += count;
    return true;
  }

 private:
  // fresh <- fresh - Q (Q^T fresh) with Q what is taken so far; the largest inner product.
  float remove_span(MatrixView<float> fresh) {
    Matrix inner(size_, fresh.columns);
    multiply(all(), Transpose::yes, fresh, Transpose::no, inner.view());
    float largest = 0.f;
    for (const float value : inner.values()) largest = std::max(largest, std::fabs(value));
    if (largest > kOrthogonal) {
      multiply(all(), Transpose::no, inner.view(), Transpose::no, fresh, -1.f, 1.f);
    }
    return largest;
  }

  // Normalizing a block of which little was left has magnified what rounding left of the space in
  // it.
  void separate(MatrixView<float> fresh) {
    for (int round = 0; round < kRounds; ++round) {
      if (remove_span(fresh) <= kNearlyOrthogonal) return;
      orthonormalize(fresh);
    }
    // Columns without any new direction: complete all; the leading ones are orthonormal and stay.
    orthonormalize(block(0, size_ + fresh.columns));
  }

  Matrix columns_;
  std::int64_t size_ = 0;
};

void copy(MatrixView<const float> from, MatrixView<float> to) {
  for (std::int64_t i = 0; i < from.rows; ++i) std::copy_n(from.row(i), from.columns, to.row(i));
}

// The small problem at the end: a ~ left image^T with image = a^T left. `basis`, unless null, gets
// `width` right singular vectors.
Svd from_image(MatrixView<const float> left, MatrixView<const float> image, std::int64_t rank,
               std::int64_t width, Matrix* basis) {
  const std::int64_t found = image.columns;
  Matrix q(image.rows, found);
  copy(image, q.view());
  const Matrix r = orthonormalize(q.view());
  const Svd small = svd(r.view());  // image = q r = (q small.u) s small.v^T
  Svd result{Matrix(left.rows, rank), std::vector<float>(small.s.begin(), small.s.begin() + rank),
             Matrix(image.rows, rank)};
  multiply(left, Transpose::no, small.v.view().block(0, 0, found, rank), Transpose::no,
           result.u.view());
  multiply(q.view(), Transpose::no, small.u.view().block(0, 0, found, rank), Transpose::no,
           result.v.view());
  if (basis != nullptr) {
    *basis = Matrix(image.rows, width);
    multiply(q.view(), Transpose::no, small.u.view().block(0, 0, found, width), Transpose::no,
             basis->view());
  }
  return result;
}

// Sum of the squares of the `rank` largest singular values of `image`.
double captured_energy(MatrixView<const float> image, std::int64_t rank) {
  Matrix q(image.rows, image.columns);
  copy(image, q.view());
  const std::vector<float> s = svd(orthonormalize(q.view()).view()).s;
  double sum = 0.0;
  for (std::int64_t i = 0; i < std::min<std::int64_t>(rank, std::ssize(s)); ++i) {
    sum += static_cast<double>(s[static_cast<std::size_t>(i)]) * s[static_cast<std::size_t>(i)];
  }
  return sum;
}

// Columns that complete `basis` to `width`, random ones.
void fill_random(MatrixView<float> columns, Random& random) {
  for (std::int64_t i = 0; i < columns.rows; ++i) {
    random.fill_normal({columns.row(i), static_cast<std::size_t>(columns.columns)});
  }
}

}  // namespace

Svd randomized_svd(const LinearMap& a, const RandomizedOptions& options, Random& random,
                   Matrix* basis) {
  const std::int64_t least = std::min(a.rows, a.columns);
  if (options.rank < 1 || options.rank > least) {
    throw Error({{}, "rank"}, "expected 1 to " + std::to_string(least) + ", found " +
                                  std::to_string(options.rank));
  }
  const std::int64_t width =
      std::min(least, options.rank + std::max<std::int64_t>(0, options.oversampling));
  const int steps = std::max(1, options.power_iterations);
  const std::int64_t capacity = std::min(least, width * steps);
  const std::int64_t warm = basis != nullptr ? basis->columns() : 0;
  if (warm > 0 && (basis->rows() != a.columns || warm > width)) {
    throw Error({{}, "basis"}, "expected at most " + shape_text({a.columns, width}) + ", found " +
                                   shape_text({basis->rows(), warm}));
  }

  Basis left(a.rows, capacity);
  Basis right(a.columns, capacity);
  Matrix image(a.columns, capacity);  // a^T times left
  if (warm > 0) copy(basis->view(), right.room(warm));
  if (warm < width) {
    fill_random(right.block(warm, width - warm), random);
    right.take(width);
  } else {
    right.take_orthonormal(width);
  }

  double captured = 0.0;
  for (int step = 0; step < steps; ++step) {
    const std::int64_t done = left.size();
    const std::int64_t count = right.size() - done;
    a.multiply(right.block(done, count), left.room(count));
    if (!left.take(count)) break;
    const MatrixView<float> fresh = image.view().block(0, done, a.columns, count);
    a.multiply_transposed(left.block(done, count), fresh);
    if (options.tolerance > 0.0) {
      const double now =
          captured_energy(image.view().block(0, 0, a.columns, left.size()), options.rank);
      if (now - captured <= options.tolerance * (a.squared_norm - now)) break;
      captured = now;
    }
    const std::int64_t next = std::min(count, capacity - right.size());
    if (step + 1 == steps || next <= 0) break;
    copy(fresh.block(0, 0, a.columns, next), right.room(next));
    if (!right.take(next)) break;
  }

  if (left.size() == 0) {
    if (!std::isfinite(a.squared_norm)) {
      throw ComputationError({{}, "svd"}, "expected finite values, found a NaN or an infinity");
    }
    // A zero matrix: any orthonormal columns will do, with singular values of zero.
    fill_random(left.room(width), random);
    left.take(width);
  }
  return from_image(left.all(), image.view().block(0, 0, a.columns, left.size()), options.rank,
                    width, basis);
}

Svd randomized_svd(MatrixView<const float> a, const RandomizedOptions& options, Random& random,
                   Matrix* basis) {
  check_extent(a);
  return randomized_svd(linear_map(a, squared_norm(a)), options, random, basis);
}

LinearMap linear_map(MatrixView<const float> a, double squared_norm) {
  const auto product = [a](Transpose transpose) {
    return [a, transpose](MatrixView<const float> x, MatrixView<float> out) {
      multiply(a, transpose, x, Transpose::no, out);
    };
  };
  return {.rows = a.rows,
          .columns = a.columns,
          .multiply = product(Transpose::no),
          .multiply_transposed = product(Transpose::yes),
          .squared_norm = squared_norm};
}

}  // namespace qloft::linalg
