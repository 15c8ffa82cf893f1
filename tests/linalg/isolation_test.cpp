// A stranger's BLAS in the same program, as libtorch's is: linalg must not call it.

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>

#include "matrices.h"

namespace {

std::atomic<int> calls{0};

}  // namespace

#define STRANGER(name)                                           \
  extern "C" __attribute__((visibility("default"))) int name() { \
    return ++calls;                                              \
  }

// What linalg calls itself, and what LAPACK calls on the way.
STRANGER(sgemm_)
STRANGER(cblas_sgemm)
STRANGER(cblas_strsm)
STRANGER(cblas_dsyrk)
STRANGER(sgemv_)
STRANGER(sscal_)
STRANGER(snrm2_)
STRANGER(sgesdd_)
STRANGER(sbdsdc_)
STRANGER(slasd3_)
STRANGER(slarfb_)
STRANGER(sgeqrf_)
STRANGER(sorgqr_)
STRANGER(spotrf_)
STRANGER(dpotrf_)
STRANGER(ilaenv_)
STRANGER(lsame_)
STRANGER(xerbla_)

namespace qloft::linalg {
namespace {

TEST(Isolation, NothingCallsTheRoutinesOfAnotherLibrary) {
  const Matrix a = normal_matrix(90, 70);
  Matrix c(90, 90);
  multiply(a.view(), Transpose::no, a.view(), Transpose::yes, c.view());
  Matrix q = a;
  orthonormalize(q.view());
  Matrix zero(6, 3);
  orthonormalize(zero.view());
  cholesky(c.view());
  EXPECT_GT(svd(a.view()).s[0], 1.f);
  EXPECT_EQ(calls.load(), 0);
}

TEST(Isolation, OffersNoRoutinesToOtherLibraries) {
  for (const char* name :
       {"dgemm_", "sgetrf_", "cblas_dgemm", "openblas_set_num_threads", "slasdt_", "gotoblas"}) {
    EXPECT_EQ(::dlsym(RTLD_DEFAULT, name), nullptr) << name;
  }
}

}  // namespace
}  // namespace qloft::linalg
