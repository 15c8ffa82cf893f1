#pragma once
// Sums of vectors' elements.
// For the sources of this folder alone, as chunks.h is.

namespace qloft::kernels::avx512_kernels {

// The sums of four vectors' elements: halves added until one is left, as _mm512_reduce_add_ps does.
inline __m128 reduce_four(__m512 a, __m512 b, __m512 c, __m512 d) {
  const auto fold = [](const __m512& u, const __m512& v, __m512& sum) {
    sum =
        __builtin_shufflevector(u, v, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
        __builtin_shufflevector(u, v, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  };
  __m512 ab, cd;
  fold(a, b, ab);
  fold(c, d, cd);
  const __m512 fours =
      __builtin_shufflevector(ab, cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
      __builtin_shufflevector(ab, cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  const __m512 twos = fours + __builtin_shufflevector(fours, fours, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11,
                                                      8, 9, 14, 15, 12, 13);
  return __builtin_shufflevector(twos, twos, 0, 4, 8, 12) +
         __builtin_shufflevector(twos, twos, 1, 5, 9, 13);
}

}  // namespace qloft::kernels::avx512_kernels
