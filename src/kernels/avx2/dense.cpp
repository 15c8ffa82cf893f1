#include <cstdint>
#include <limits>

#include "dense_tables.h"

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("fp-contract=fast")

namespace qloft::kernels {
namespace {

constexpr int kLanes = 8;
#include "dense_lanes.h"
#include "dense_loops.h"

constexpr DenseTable kTable = table_of(InstructionSet::avx2);

}  // namespace

const DenseTable& dense_avx2_table() {
  return kTable;
}

}  // namespace qloft::kernels

#pragma GCC pop_options
#endif
