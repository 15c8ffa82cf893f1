#pragma once
// The entry points of OpenBLAS under the names that cmake/OpenBLAS.cmake gives them. Matrices are
// column-major for the LAPACK routines; LP64: integers are int.

#include <cstddef>

extern "C" {

enum BlasOrder : int { kRowMajor = 101 };
enum BlasTranspose : int { kNoTranspose = 111, kTranspose = 112 };
enum BlasTriangle : int { kUpper = 121, kLower = 122 };
enum BlasDiagonal : int { kNonUnit = 131 };
enum BlasSide : int { kLeft = 141, kRight = 142 };

void qloft_blas_sgemm(BlasOrder order, BlasTranspose transpose_a, BlasTranspose transpose_b, int m,
                      int n, int k, float alpha, const float* a, int lda, const float* b, int ldb,
                      float beta, float* c, int ldc);
void qloft_blas_strsm(BlasOrder order, BlasSide side, BlasTriangle triangle,
                      BlasTranspose transpose, BlasDiagonal diagonal, int m, int n, float alpha,
                      const float* a, int lda, float* b, int ldb);
void qloft_blas_strmm(BlasOrder order, BlasSide side, BlasTriangle triangle,
                      BlasTranspose transpose, BlasDiagonal diagonal, int m, int n, float alpha,
                      const float* a, int lda, float* b, int ldb);
void qloft_blas_dsyrk(BlasOrder order, BlasTriangle triangle, BlasTranspose transpose, int n, int k,
                      double alpha, const double* a, int lda, double beta, double* c, int ldc);

void qloft_blas_sgeqrf(const int* m, const int* n, float* a, const int* lda, float* tau,
                       float* work, const int* work_size, int* info);
void qloft_blas_sorgqr(const int* m, const int* n, const int* k, float* a, const int* lda,
                       const float* tau, float* work, const int* work_size, int* info);
// The last argument is the hidden length of the Fortran string `job`.
void qloft_blas_sgesdd(const char* job, const int* m, const int* n, float* a, const int* lda,
                       float* s, float* u, const int* ldu, float* vt, const int* ldvt, float* work,
                       const int* work_size, int* int_work, int* info, std::size_t job_length);
void qloft_blas_spotrf(const char* triangle, const int* n, float* a, const int* lda, int* info,
                       std::size_t triangle_length);
void qloft_blas_dpotrf(const char* triangle, const int* n, double* a, const int* lda, int* info,
                       std::size_t triangle_length);

// The name of the kernels that it took for this processor.
const char* qloft_blas_get_corename();
// How many threads of its own pool a call may use; 1 at the start.
void qloft_blas_set_num_threads(int count);

}  // extern "C"

namespace qloft::linalg {

// To be called before what may call the BLAS: its buffers of this thread, and of those that help
// it, are set aside, since the BLAS tries without end where the system has no room for one. Throws
// SystemError then.
void expect_blas_buffer(int threads = 1);

}  // namespace qloft::linalg
