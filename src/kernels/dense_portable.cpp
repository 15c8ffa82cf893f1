#include <cstdint>
#include <limits>

#include "dense.h"

namespace qloft::kernels {
namespace {

constexpr int kLanes = 4;
#include "dense_loops.h"

constexpr DenseTable kTable = {
    .set = InstructionSet::portable,
    .rows_dot_f32 = rows_dot_f32,
    .rows_dot_bf16 = rows_dot_bf16,
    .add_weighted_rows = add_weighted_rows,
    .largest = largest,
    .exponentials = exponentials,
    .swiglu = swiglu,
    .swiglu_gradient = swiglu_gradient,
};

}  // namespace

const DenseTable& dense_portable_table() {
  return kTable;
}

}  // namespace qloft::kernels
