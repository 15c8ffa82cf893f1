#include <cstdint>
#include <limits>

#include "dense.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#pragma GCC optimize("fp-contract=fast")

namespace qloft::kernels {
namespace {

constexpr int kLanes = 16;
#include "dense_loops.h"

constexpr DenseTable kTable = {
    .set = InstructionSet::avx512,
    .rows_dot_f32 = rows_dot_f32,
    .rows_dot_bf16 = rows_dot_bf16,
    .add_weighted_rows = add_weighted_rows,
    .largest = largest,
    .exponentials = exponentials,
    .swiglu = swiglu,
    .swiglu_gradient = swiglu_gradient,
};

}  // namespace

const DenseTable& dense_avx512_table() {
  return kTable;
}

}  // namespace qloft::kernels

#pragma GCC pop_options
#endif
