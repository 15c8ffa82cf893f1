#include <cstdint>
#include <limits>

#include "dense_tables.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")
#pragma GCC optimize("fp-contract=fast")

namespace qloft::kernels {
namespace {

constexpr int kLanes = 16;
#include "dense_lanes.h"
#include "dense_loops.h"

constexpr DenseTable kTable = table_of(InstructionSet::avx512);

}  // namespace

const DenseTable& dense_avx512_table() {
  return kTable;
}

}  // namespace qloft::kernels

#pragma GCC pop_options
#endif
