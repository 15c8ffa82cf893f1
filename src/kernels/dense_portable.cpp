#include <cstdint>
#include <limits>

#include "dense_tables.h"

namespace qloft::kernels {
namespace {

constexpr int kLanes = 4;
#include "dense_lanes.h"
#include "dense_loops.h"

constexpr DenseTable kTable = table_of(InstructionSet::portable);

}  // namespace

const DenseTable& dense_portable_table() {
  return kTable;
}

}  // namespace qloft::kernels
