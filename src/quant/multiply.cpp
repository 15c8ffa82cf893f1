// Products of activations with packed matrices.
#include <algorithm>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "codebooks/row.h"
#include "kernel_values.h"
#include "qloft/core/aligned.h"
#include "qloft/core/checked.h"
#include "qloft/core/text.h"
#include "qloft/core/threads.h"
#include "row_reader.h"

namespace qloft::quant {
namespace {

// Activations as the kernels take them for one code book.
class PreparedActivations {
 public:
  PreparedActivations(const kernels::CodeValues& book, bool offsets, MatrixView<const float> x)
      : book_(&book) {
    const bool fixed = kernels::table().takes_fixed(book);
    const std::int64_t stride = fixed ? kernels::fixed_columns(x.columns) : 0;
    const std::int64_t sixteens = offsets ? ceil_divide<std::int64_t>(x.columns, 16) : 0;
    fixed_.resize(static_cast<std::size_t>(x.rows * stride));
    fixed_scales_.resize(static_cast<std::size_t>(x.rows * stride / kernels::kGroup));
    sums_.resize(static_cast<std::size_t>(x.rows * sixteens));
    for (std::int64_t i = 0; i < x.rows; ++i) {
      kernels::table().prepare_activations(
          book, x.row(i), x.columns, fixed ? fixed_.data() + i * stride : nullptr,
          fixed ? fixed_scales_.data() + i * stride / kernels::kGroup : nullptr,
          offsets ? sums_.data() + i * sixteens : nullptr);
    }
    activations_ = {
        .x = x.data,
        .stride = x.stride,
        .fixed = fixed ? fixed_.data() : nullptr,
        .fixed_scales = fixed ? fixed_scales_.data() : nullptr,
        .sums = offsets ? sums_.data() : nullptr,
        .rows = x.rows,
        .columns = x.columns,
    };
  }
  const kernels::CodeValues& book() const { return *book_; }
  const kernels::Activations& activations() const { return activations_; }

 private:
  const kernels::CodeValues* book_;
  AlignedVector<std::int16_t> fixed_;
  std::vector<float> fixed_scales_;
  std::vector<float> sums_;
  kernels::Activations activations_;
};

void check(const Product& product) {
  const PackedMatrix& q = *product.matrix;
  const MatrixView<const float>& x = product.x;
  const MatrixView<float>& y = product.y;
  if (x.columns == q.columns() && y.rows == x.rows && y.columns == q.rows()) return;
  throw InputError({{}, "multiply_transposed"},
                   "expected x [n, " + std::to_string(q.columns()) + "] and y [n, " +
                       std::to_string(q.rows()) + "], found x " + shape_text({x.rows, x.columns}) +
                       " and y " + shape_text({y.rows, y.columns}));
}

bool same_view(MatrixView<const float> a, MatrixView<const float> b) {
  return a.data == b.data && a.rows == b.rows && a.columns == b.columns && a.stride == b.stride;
}

// Rows of `matrix` that the next task multiplies, of a share of `elements`.
std::int64_t rows_of_a_task(const PackedMatrix& matrix, std::int64_t elements) {
  const Coding& coding = row_of(matrix.format().codebook).coding;
  if (coding.product_rows != 0) return coding.product_rows;
  const std::int64_t columns = std::max<std::int64_t>(1, matrix.columns());
  return round_up(std::max(rows_a_task(columns), elements / columns), RowReader::kAtOnce);
}

// Columns [begin, end) of y.
void multiply_rows(const Product& product, const PreparedActivations& x, std::int64_t begin,
                   std::int64_t end) {
  const PackedMatrix& q = *product.matrix;
  const auto y = product.y.block(0, begin, product.y.rows, end - begin);
  std::vector<float> before;
  for (std::int64_t i = 0; product.add && i < y.rows; ++i) {
    before.insert(before.end(), y.row(i), y.row(i) + y.columns);
  }
  row_of(q.format().codebook).coding.multiply(q, x.book(), x.activations(), product.y, begin, end);
  for (std::int64_t i = 0; product.add && i < y.rows; ++i) {
    const float* old = before.data() + i * y.columns;
    for (std::int64_t j = 0; j < y.columns; ++j) y.row(i)[j] += old[j];
  }
}

}  // namespace

void multiply_transposed(MatrixView<const float> x, const PackedMatrix& q, MatrixView<float> y) {
  const Product product{&q, x, y};
  multiply_transposed({&product, 1});
}

void multiply_transposed(std::span<const Product> products) {
  struct Task {
    const Product* product;
    const PreparedActivations* x;
    std::int64_t begin, end;
  };
  std::vector<Task> tasks;
  std::deque<PreparedActivations> prepared;
  std::int64_t left = 0;
  for (const Product& product : products) left += product.matrix->rows() * product.x.columns;
  // Large tasks first, which cost less to hand out, then smaller and smaller ones, so that threads
  // end together. A product takes about 25 microseconds a million elements.
  const std::int64_t shares = 2 * thread_count();
  const Product* before = nullptr;
  for (const Product& product : products) {
    check(product);
    const PackedMatrix& q = *product.matrix;
    const kernels::CodeValues& book = kernel_values(q.format());
    if (before == nullptr || &prepared.back().book() != &book || !same_view(before->x, product.x)) {
      prepared.emplace_back(book, row_of(q.format().codebook).has_offsets, product.x);
    }
    before = &product;
    for (std::int64_t begin = 0, end = 0; begin < q.rows() && product.x.rows > 0; begin = end) {
      end = std::min(q.rows(), begin + rows_of_a_task(q, left / shares));
      tasks.push_back({&product, &prepared.back(), begin, end});
      left -= (end - begin) * product.x.columns;
    }
  }
  parallel_for(std::ssize(tasks), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const Task& task = tasks[static_cast<std::size_t>(i)];
      multiply_rows(*task.product, *task.x, task.begin, task.end);
    }
  });
}

}  // namespace qloft::quant
