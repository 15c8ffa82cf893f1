#include "choose.h"
#include "int8_tables.h"

namespace qloft::kernels {

const Int8Table& int8_table(InstructionSet set) {
  return choose_table<int8_portable_table, int8_avx2_table, int8_avx512_table>(set);
}

const Int8Table& int8_table() {
  static const Int8Table& chosen = int8_table(chosen_instruction_set());
  return chosen;
}

}  // namespace qloft::kernels
