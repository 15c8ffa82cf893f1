#pragma once
// linalg: dense linear algebra on f32 matrices, row-major. The only caller of BLAS and LAPACK.

#include <cstdint>
#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/core/random.h"

namespace qloft::linalg {

enum class Transpose : bool { no, yes };

// c = alpha * op(a) * op(b) + beta * c, on all threads of core. Throws Error when shapes disagree.
void multiply(MatrixView<const float> a, Transpose transpose_a, MatrixView<const float> b,
              Transpose transpose_b, MatrixView<float> c, float alpha = 1.f, float beta = 0.f);

// Frobenius norm, accumulated in f64.
double frobenius_norm(MatrixView<const float> a);

// Replaces the columns of `a` [m, n], m >= n, by an orthonormal basis of their span (Householder
// QR; a rank-deficient `a` still gives n orthonormal columns).
void orthonormalize(MatrixView<float> a);

// a = u * diag(s) * v^T: u [m, k], s falling, v [n, k].
struct Svd {
  Matrix u;
  std::vector<float> s;
  Matrix v;
};

// The full thin SVD, k = min(m, n) (LAPACK sgesdd).
Svd svd(MatrixView<const float> a);

struct RandomizedOptions {
  std::int64_t rank = 0;
  std::int64_t oversampling = 8;  // extra columns in the sketch
  int power_iterations = 2;       // at most; each is one product with a and one with a^T
  double tolerance =
      0.0;  // stop earlier when the captured energy grows by less than this, relatively
};

// The leading `rank` singular triplets by a randomized range finder with power iterations (Halko,
// Martinsson & Tropp 2011, algorithms 4.4 and 5.1). `basis`, where given and not empty, is a warm
// start [n, rank + oversampling] for the right singular space; it is replaced by the one that was
// found.
Svd randomized_svd(MatrixView<const float> a, const RandomizedOptions& options, Random& random,
                   Matrix* basis = nullptr);

// Lower Cholesky factor of a symmetric positive definite matrix, in place; false where it is not.
bool cholesky(MatrixView<float> a);

}  // namespace qloft::linalg
