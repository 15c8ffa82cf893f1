// Products of activations with packed matrices.
#include <algorithm>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "codebook.h"
#include "qloft/core/aligned.h"
#include "qloft/core/checked.h"
#include "qloft/core/threads.h"
#include "rows.h"

namespace qloft::quant {
namespace {

// Rows [begin, end) of a product with a trellis code, after the rows above that their windows need.
void multiply_trellis(const PackedMatrix& q, const kernels::Activations& x, MatrixView<float> y,
                      std::int64_t begin, std::int64_t end) {
  const kernels::Table& table = kernels::table();
  const kernels::Codebook& book = codebook_of(q.format());
  RowReader reader(q, 0, 0);  // scales alone
  std::vector<std::uint16_t> windows(static_cast<std::size_t>(kernels::trellis_windows(x.columns)));
  std::vector<float> unused(static_cast<std::size_t>(x.rows * RowReader::kAtOnce));
  for (std::int64_t r = first_window_row(begin, book.bits); r < end;) {
    if (r % kernels::kTrellisRows == 0) std::fill(windows.begin(), windows.end(), 0);
    const std::int64_t next =
        std::min(r < begin ? begin : end, round_up(r + 1, kernels::kTrellisRows));
    const auto rows = reader.rows(r, std::min(RowReader::kAtOnce, next - r));
    const auto count = static_cast<std::int64_t>(rows.size());
    if (r < begin) {
      table.dot_trellis(book, rows.data(), count, x, unused.data(), count, windows.data());
    } else {
      table.dot_trellis(book, rows.data(), count, x, y.data + r, y.stride, windows.data());
    }
    r += count;
  }
}

// Activations as the kernels take them for one code book.
class Prepared {
 public:
  Prepared(const kernels::Codebook& book, bool offsets, MatrixView<const float> x) : book_(&book) {
    const bool fixed = book.bits <= 4;
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
  const kernels::Codebook& book() const { return *book_; }
  const kernels::Activations& activations() const { return activations_; }

 private:
  const kernels::Codebook* book_;
  AlignedVector<std::int16_t> fixed_;
  std::vector<float> fixed_scales_;
  std::vector<float> sums_;
  kernels::Activations activations_;
};

void check(MatrixView<const float> x, const Product& product) {
  const PackedMatrix& q = *product.matrix;
  const MatrixView<float>& y = product.y;
  if (x.columns == q.columns() && y.rows == x.rows && y.columns == q.rows()) return;
  throw InputError({{}, "multiply_transposed"},
                   "expected x [n, " + std::to_string(q.columns()) + "] and y [n, " +
                       std::to_string(q.rows()) + "], found x [" + std::to_string(x.rows) + ", " +
                       std::to_string(x.columns) + "] and y [" + std::to_string(y.rows) + ", " +
                       std::to_string(y.columns) + "]");
}

// Rows of `matrix` that the next task multiplies, of a share of `elements`. Those of a trellis code
// begin with the rows above that their windows reach up to.
std::int64_t rows_of_a_task(const PackedMatrix& matrix, std::int64_t elements) {
  constexpr std::int64_t kTrellisTask = 128;
  if (matrix.format().codebook == Codebook::trellis) return kTrellisTask;
  const std::int64_t columns = std::max<std::int64_t>(1, matrix.columns());
  return round_up(std::max(rows_a_task(columns), elements / columns), RowReader::kAtOnce);
}

// Columns [begin, end) of product.y.
void multiply_rows(const Product& product, const Prepared& x, std::int64_t begin,
                   std::int64_t end) {
  const PackedMatrix& q = *product.matrix;
  if (q.format().codebook == Codebook::trellis) {
    if (x.activations().rows > 0) multiply_trellis(q, x.activations(), product.y, begin, end);
    return;
  }
  RowReader reader(q);
  for (std::int64_t r = begin; r < end; r += RowReader::kAtOnce) {
    const auto rows = reader.rows(r, std::min(RowReader::kAtOnce, end - r));
    kernels::table().dot(x.book(), rows.data(), static_cast<std::int64_t>(rows.size()),
                         x.activations(), product.y.data + r, product.y.stride);
  }
}

}  // namespace

void multiply_transposed(MatrixView<const float> x, const PackedMatrix& q, MatrixView<float> y) {
  const Product product{&q, y};
  multiply_transposed(x, {&product, 1});
}

void multiply_transposed(MatrixView<const float> x, std::span<const Product> products) {
  struct Task {
    const Product* product;
    const Prepared* x;
    std::int64_t begin, end;
  };
  std::vector<Task> tasks;
  std::deque<Prepared> prepared;
  std::int64_t left = 0;
  for (const Product& product : products) left += product.matrix->rows() * x.columns;
  // Large tasks first, which cost less to hand out, then smaller and smaller ones, so that threads
  // end together. A product takes about 25 microseconds a million elements.
  const std::int64_t shares = 2 * thread_count();
  for (const Product& product : products) {
    check(x, product);
    const PackedMatrix& q = *product.matrix;
    const kernels::Codebook& book = codebook_of(q.format());
    if (prepared.empty() || &prepared.back().book() != &book) {
      prepared.emplace_back(book, q.format().codebook == Codebook::uniform_asymmetric, x);
    }
    for (std::int64_t begin = 0, end = 0; begin < q.rows(); begin = end) {
      end = std::min(q.rows(), begin + rows_of_a_task(q, left / shares));
      tasks.push_back({&product, &prepared.back(), begin, end});
      left -= (end - begin) * x.columns;
    }
  }
  parallel_for(std::ssize(tasks), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Task& task = tasks[static_cast<std::size_t>(i)];
      multiply_rows(*task.product, *task.x, task.begin, task.end);
    }
  });
}

}  // namespace qloft::quant
