#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "blas.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "shape.h"

namespace qloft::linalg {
namespace {

// The order from which LAPACK's inner products are long enough for threads.
constexpr std::int64_t kThreadedOrder = 512;

// LAPACK cannot be split from outside, so for its duration OpenBLAS gets threads of its own.
class ThreadsOfBlas {
 public:
  explicit ThreadsOfBlas(int count) : lock_(mutex_) { qloft_blas_set_num_threads(count); }
  ~ThreadsOfBlas() { qloft_blas_set_num_threads(1); }
  ThreadsOfBlas(const ThreadsOfBlas&) = delete;
  ThreadsOfBlas& operator=(const ThreadsOfBlas&) = delete;

 private:
  static inline std::mutex mutex_;
  std::scoped_lock<std::mutex> lock_;
};

}  // namespace

Svd svd(MatrixView<const float> a) {
  check_extent(a);
  const std::int64_t k = std::min(a.rows, a.columns);
  Svd result{Matrix(a.rows, k), std::vector<float>(static_cast<std::size_t>(k)),
             Matrix(a.columns, k)};
  if (k == 0) return result;
  if (!std::isfinite(squared_norm(a))) {
    throw ComputationError({{}, "svd"}, "expected finite values, found a NaN or an infinity");
  }
  // By columns LAPACK sees a^T = v s u^T: its "u" is v by columns, its "vt" is u by rows.
  Matrix copy(a.rows, a.columns);
  for (std::int64_t i = 0; i < a.rows; ++i) std::copy_n(a.row(i), a.columns, &copy(i, 0));
  Matrix v_by_columns(k, a.columns);
  const int m = static_cast<int>(a.columns);
  const int n = static_cast<int>(a.rows);
  const int order = static_cast<int>(k);
  std::vector<int> int_work(static_cast<std::size_t>(8 * k));
  float wanted = 0.f;
  int work_size = -1;
  int info = 0;
  // OpenBLAS has one pool for all: a team, which has others beside it, does without.
  const int blas_threads = k >= kThreadedOrder && !ThreadTeam::here() ? thread_count() : 1;
  const auto call = [&](float* work) {
    expect_blas_buffer(blas_threads);
    qloft_blas_sgesdd("S", &m, &n, copy.data(), &m, result.s.data(), v_by_columns.data(), &m,
                      result.u.data(), &order, work, &work_size, int_work.data(), &info, 1);
  };
  call(&wanted);
  // The size comes back as a float: round it up.
  work_size = static_cast<int>(std::nextafter(wanted, HUGE_VALF)) + 1;
  std::vector<float> work(static_cast<std::size_t>(work_size));
  {
    const ThreadsOfBlas threads(blas_threads);
    call(work.data());
  }
  if (info != 0) {
    throw ComputationError({{}, "svd"},
                           "no convergence for a matrix of " + shape_text({a.rows, a.columns}));
  }
  for (std::int64_t i = 0; i < a.columns; ++i) {
    for (std::int64_t j = 0; j < k; ++j) result.v(i, j) = v_by_columns(j, i);
  }
  return result;
}

}  // namespace qloft::linalg
