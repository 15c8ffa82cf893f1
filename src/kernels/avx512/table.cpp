#include "../avx512.h"

#if defined(__x86_64__)

#include "../avx2.h"
#include "table.h"

namespace qloft::kernels {

const Table& avx512_table() {
  static const Table made = [] {
    Table table = avx2_table();
    table.set = InstructionSet::avx512;
    avx512_kernels::add_encoding(table);
    avx512_kernels::add_decoding(table);
    avx512_kernels::add_scales(table);
    avx512_kernels::add_products(table);
    avx512_kernels::add_trellis(table);
    return table;
  }();
  return made;
}

}  // namespace qloft::kernels

#endif  // __x86_64__
