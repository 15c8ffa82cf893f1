#include "choose.h"
#include "dense_tables.h"

namespace qloft::kernels {

const DenseTable& dense_table(InstructionSet set) {
  return choose_table<dense_portable_table, dense_avx2_table, dense_avx512_table>(set);
}

const DenseTable& dense_table() {
  static const DenseTable& chosen = dense_table(chosen_instruction_set());
  return chosen;
}

}  // namespace qloft::kernels
