#include "../avx2.h"

#if defined(__x86_64__)

#include "parts.h"

namespace qloft::kernels {
namespace {

constexpr Table kAvx2 = {
    .set = InstructionSet::avx2,
    .absmax = avx2::absmax,
    .minmax = avx2::minmax,
    .encode = avx2::encode,
    .fit_scale = avx2::fit_scale,
    .pack = avx2::pack,
    .unpack = avx2::unpack,
    .decode_f32 = avx2::decode_f32,
    .decode_bf16 = avx2::decode_bf16,
    .prepare_activations = avx2::prepare_activations,
    .dot = avx2::dot,
    .bf16_to_f32 = avx2::bf16_to_f32,
    .f32_to_bf16 = avx2::f32_to_bf16,
};

}  // namespace

const Table& avx2_table() {
  return kAvx2;
}

}  // namespace qloft::kernels

#endif  // __x86_64__
