#include "../avx2.h"

#if defined(__x86_64__)

#include "table.h"

namespace qloft::kernels {

const Table& avx2_table() {
  static const Table made = [] {
    Table table;
    table.set = InstructionSet::avx2;
    avx2::add_encoding(table);
    avx2::add_packing(table);
    avx2::add_decoding(table);
    avx2::add_products(table);
    avx2::add_trellis(table);
    return table;
  }();
  return made;
}

}  // namespace qloft::kernels

#endif  // __x86_64__
