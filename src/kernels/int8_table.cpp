#include "int8.h"

namespace qloft::kernels {

const Int8Table& int8_table(InstructionSet set) {
  switch (set) {
    case InstructionSet::portable:
      break;
#if defined(__x86_64__)
    case InstructionSet::avx2:
      return int8_avx2_table();
    case InstructionSet::avx512:
      return int8_avx512_table();
#else
    default:
      break;
#endif
  }
  return int8_portable_table();
}

const Int8Table& int8_table() {
  static const Int8Table& chosen = int8_table(chosen_instruction_set());
  return chosen;
}

}  // namespace qloft::kernels
