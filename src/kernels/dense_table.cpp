#include "dense.h"

namespace qloft::kernels {

const DenseTable& dense_table(InstructionSet set) {
  switch (set) {
    case InstructionSet::portable:
      break;
#if defined(__x86_64__)
    case InstructionSet::avx2:
      return dense_avx2_table();
    case InstructionSet::avx512:
      return dense_avx512_table();
#else
    default:
      break;
#endif
  }
  return dense_portable_table();
}

const DenseTable& dense_table() {
  static const DenseTable& chosen = dense_table(chosen_instruction_set());
  return chosen;
}

}  // namespace qloft::kernels
