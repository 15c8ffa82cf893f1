#pragma once
// The table of an instruction set, of whatever kind of table.

#include "qloft/core/cpu.h"

namespace qloft::kernels {

// The parameters are functions that return a table; on other processors than x86-64 those of its
// sets need no definition.
template <auto kPortable, auto kAvx2, auto kAvx512>
const auto& choose_table(InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::avx2) return kAvx2();
  if (set == InstructionSet::avx512) return kAvx512();
#endif
  return kPortable();
}

}  // namespace qloft::kernels
