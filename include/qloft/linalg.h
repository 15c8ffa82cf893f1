#pragma once
// linalg: dense linear algebra on f32 matrices, row-major. The only caller of BLAS and LAPACK.
//
// Products run on core's threads, in pieces that depend on the shapes alone: their results do not
// depend on the number of threads. Only svd() uses OpenBLAS's own threads, as many as
// thread_count() says, and its last bits may depend on them. Every function throws Error where
// shapes disagree.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/core/random.h"

namespace qloft::linalg {

enum class Transpose : bool { no, yes };

// c = alpha * op(a) * op(b) + beta * c; c [m, n], op(a) [m, k], op(b) [k, n]. With beta 0, c is not
// read. c overlaps neither a nor b.
void multiply(MatrixView<const float> a, Transpose transpose_a, MatrixView<const float> b,
              Transpose transpose_b, MatrixView<float> c, float alpha = 1.f, float beta = 0.f);
// The same in the calling thread alone, as one call, for callers that run threads themselves.
void multiply_serial(MatrixView<const float> a, Transpose transpose_a, MatrixView<const float> b,
                     Transpose transpose_b, MatrixView<float> c, float alpha = 1.f,
                     float beta = 0.f);

// Element (i, j), i <= j, of an n x n matrix stands at triangle_row(i, n) + j of its upper triangle
// row by row, which has n (n + 1) / 2 values.
constexpr std::int64_t triangle_row(std::int64_t i, std::int64_t n) {
  return i * (2 * n - i - 1) / 2;
}
// gram = gram + x^T x, x [m, n]; gram is an upper triangle row by row.
void add_gram(MatrixView<const float> x, std::span<float> gram);

// Sum of squares, accumulated in f64.
double squared_norm(MatrixView<const float> a);
// Frobenius norm, accumulated in f64.
double frobenius_norm(MatrixView<const float> a);

// Replaces the columns of `a` [m, n], m >= n, by an orthonormal basis of their span and returns the
// upper triangular r [n, n] with a_before = a_after * r. A rank-deficient `a` still gives n
// orthonormal columns. Cholesky QR (twice where one pass is not exact: Fukaya et al. 2014) with the
// Gram matrix in f64;
// Householder QR (LAPACK sgeqrf, sorgqr) where the columns are too nearly dependent for it.
Matrix orthonormalize(MatrixView<float> a);

// a = u * diag(s) * v^T: u [m, k], s falling, v [n, k].
struct Svd {
  Matrix u;
  std::vector<float> s;
  Matrix v;
};

// The full thin SVD, k = min(m, n) (LAPACK sgesdd). Throws ComputationError where it does not
// converge or a value is not finite.
Svd svd(MatrixView<const float> a);

struct RandomizedOptions {
  std::int64_t rank = 0;
  std::int64_t oversampling = 8;  // extra columns in the sketch
  int power_iterations = 2;  // at most; each is one product with a and one with a^T, at least one
  // Stop earlier when one more iteration would raise the captured energy by less than this part of
  // what is not captured; 0: never.
  double tolerance = 0.0;
};

// The leading `rank` singular triplets, 1 <= rank <= min(m, n), from a randomized block Krylov
// space (Musco & Musco 2015, algorithm 2), grown by Golub-Kahan steps with full
// reorthogonalization: on flat spectra it needs about half the products of power iteration (Halko,
// Martinsson & Tropp 2011, algorithm 4.4), and it is exact once the space is the whole. `basis`,
// where given and not empty, is a warm start [n, <= rank + oversampling] for the right singular
// space, orthonormal; it is replaced by the one that was found. u and v are orthonormal and a^T u =
// v diag(s) holds for what was found, so that
// ||a - u s v^T||^2 = ||a||^2 - sum of s^2.
Svd randomized_svd(MatrixView<const float> a, const RandomizedOptions& options, Random& random,
                   Matrix* basis = nullptr);

// A matrix [rows, columns] that is known by what it does to others.
struct LinearMap {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  // out [rows, k] = a x, x [columns, k], and out [columns, k] = a^T x, x [rows, k]; rows of `out`
  // may lie apart.
  std::function<void(MatrixView<const float> x, MatrixView<float> out)> multiply;
  std::function<void(MatrixView<const float> x, MatrixView<float> out)> multiply_transposed;
  double squared_norm = 0.0;
};
// The products of a matrix that outlives the map; its squared norm is known to the caller.
LinearMap linear_map(MatrixView<const float> a, double squared_norm);
// The same of such a matrix; what holds of u, s and v holds as far as its products are exact.
Svd randomized_svd(const LinearMap& a, const RandomizedOptions& options, Random& random,
                   Matrix* basis = nullptr);

// Lower Cholesky factor of a symmetric positive definite matrix, in place, zeros above the
// diagonal; false where it is not, and `a` is then undefined. Only the lower triangle is read.
bool cholesky(MatrixView<float> a);

// Upper triangular u with a = u * u^T, in place, zeros below the diagonal; false where `a` is not
// positive definite, and it is then undefined. Only the upper triangle is read.
bool upper_cholesky(Matrix& a);
// b = b * u, b = b * u^-1 and, with Transpose::yes, b = b * u^-T for an upper triangular u [n, n],
// b [m, n]; what lies below u's diagonal is not read.
void multiply_upper(MatrixView<float> b, MatrixView<const float> u);
void solve_upper(MatrixView<float> b, MatrixView<const float> u,
                 Transpose transpose = Transpose::no);

}  // namespace qloft::linalg
