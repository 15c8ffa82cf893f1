#include "coordinates.h"

#include "qloft/core.h"
#include "qloft/linalg.h"

namespace qloft::decompose {
namespace {

// Rows that are put in order and scaled while they are in the cache.
constexpr std::int64_t kRowsInPlace = 16;

void scale_columns(const std::vector<float>& factors, float* row) {
  for (std::size_t j = 0; j < factors.size(); ++j) row[j] *= factors[j];
}

template <typename Body>
void for_rows(MatrixView<float> e, const Body& body) {
  parallel_for(e.rows, kRowsInPlace, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scratch(static_cast<std::size_t>(e.columns));
    for (std::int64_t i = begin; i < end; ++i) body(i, e.row(i), scratch);
  });
}

}  // namespace

void enter_columns(const Coordinates& c, MatrixView<float> a) {
  for_rows(a, [&](std::int64_t, float* row, std::vector<float>& scratch) {
    scale_columns(c.columns, row);
    if (c.order.empty()) return;
    scratch.assign(row, row + a.columns);
    for (std::size_t p = 0; p < c.order.size(); ++p) {
      row[p] = scratch[static_cast<std::size_t>(c.order[p])];
    }
  });
  if (!c.root.empty()) linalg::multiply_upper(a, c.root.view());
}

void enter(const Coordinates& c, MatrixView<float> e, std::int64_t first_row) {
  if (!c.rows.empty()) {
    for_rows(e, [&](std::int64_t i, float* row, std::vector<float>&) {
      const float factor = c.rows[static_cast<std::size_t>(first_row + i)];
      for (std::int64_t j = 0; j < e.columns; ++j) row[j] *= factor;
    });
  }
  enter_columns(c, e);
}

void leave_columns(const Coordinates& c, MatrixView<float> a) {
  if (!c.root.empty()) linalg::solve_upper(a, c.root.view());
  for_rows(a, [&](std::int64_t, float* row, std::vector<float>& scratch) {
    if (!c.order.empty()) {
      scratch.assign(row, row + a.columns);
      for (std::size_t p = 0; p < c.order.size(); ++p) {
        row[static_cast<std::size_t>(c.order[p])] = scratch[p];
      }
    }
    for (std::size_t j = 0; j < c.columns.size(); ++j) row[j] /= c.columns[j];
  });
}

void leave_rows(const Coordinates& c, MatrixView<float> b) {
  for (std::int64_t i = 0; i < (c.rows.empty() ? 0 : b.rows); ++i) {
    for (std::int64_t k = 0; k < b.columns; ++k) b(i, k) /= c.rows[static_cast<std::size_t>(i)];
  }
}

}  // namespace qloft::decompose
