#include "../avx512.h"

#if defined(__x86_64__)

#include "../avx2.h"
#include "parts.h"

namespace qloft::kernels {
namespace {

Table make_table() {
  Table t = avx2_table();
  t.set = InstructionSet::avx512;
  t.encode = avx512_kernels::encode;
  t.decode_f32 = avx512_kernels::decode_f32;
  t.decode_bf16 = avx512_kernels::decode_bf16;
  t.prepare_activations = avx512_kernels::prepare_activations;
  t.dot = avx512_kernels::dot;
  return t;
}

}  // namespace

const Table& avx512_table() {
  static const Table made = make_table();
  return made;
}

}  // namespace qloft::kernels

#endif  // __x86_64__
