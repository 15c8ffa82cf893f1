#pragma once
// Packed codes of up to 4 bits as the products take them, a vector at a time.
// For the sources of this folder alone, which include it where the compiler is told to use AVX-512,
// and its own includes before that: <array>, <cstdint>, "qloft/kernels.h" and the intrinsics.

namespace qloft::kernels::avx512_kernels {

// What one vector of packed codes holds. It is read as 32 words of 16 bits, whose fields are
// shifted down one after another to look up 32 values at once. 3 bits join their planes in fields
// of 4: the even fields of the plane of 2 bits in one vector, the odd ones in another.
template <int kBits>
struct Chunk {
  static constexpr int kWidth = kBits == 3 ? 2 : kBits;  // of a field
  static constexpr int kSteps = 16 / kWidth;             // fields in a word
  static constexpr int kGroups = 16 / kWidth;            // of codes
  static constexpr int kColumns = kGroups * static_cast<int>(kGroup);

  // Which column of the chunk word `word` gives at step `step`.
  static constexpr int column(int step, int word) {
    const int field = kBits == 3 ? step % 4 * 2 + step / 4 : step;
    const int group = word / (2 * kWidth);
    const int byte = 2 * (word % (2 * kWidth)) + kWidth * field / 8;
    const int place = kWidth * field % 8 / kWidth;  // within the byte, as layout.h has it
    const int first = kWidth == 4   ? 8 * (byte / 4) + 4 * place
                      : kWidth == 2 ? 16 * (place % 2) + 8 * (byte / 4) + 4 * (place / 2)
                                    : 8 * (place % 4) + 4 * (place / 4);
    return group * static_cast<int>(kGroup) + first + byte % 4;
  }
  static constexpr std::array<std::uint16_t, kColumns> order() {
    std::array<std::uint16_t, kColumns> out = {};
    for (int i = 0; i < kColumns; ++i) {
      out[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(column(i / 32, i % 32));
    }
    return out;
  }
};

inline __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffff : (1 << std::max<std::int64_t>(0, count)) - 1);
}

// The words of one chunk.
template <int kBits>
struct Words {
  Words() = default;
  // The first `groups` groups are there; zeros are taken for the rest.
  Words(const std::uint8_t* in, std::int64_t groups) {
    low = _mm512_maskz_loadu_epi32(first_lanes(groups * kBits), in);
    if constexpr (kBits == 3) {
      const __m512i more = _mm512_maskz_loadu_epi32(first_lanes(groups * kBits - 16), in + 64);
      const __m512i two_bits =
          _mm512_setr_epi32(0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19, 21, 22);
      const __m512i one_bit =
          _mm512_setr_epi32(2, 2, 5, 5, 8, 8, 11, 11, 14, 14, 17, 17, 20, 20, 23, 23);
      // A field's third bit lies where the field begins, one bit up in every second word of 32.
      const __m512i up = _mm512_setr_epi32(0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);
      const __m512i twos = _mm512_permutex2var_epi32(low, two_bits, more);
      const __m512i ones = _mm512_srlv_epi32(_mm512_permutex2var_epi32(low, one_bit, more), up);
      constexpr int kChoose = 0xca;  // first ? second : third
      const __m512i lower_two = _mm512_set1_epi16(0x3333);
      low = _mm512_ternarylogic_epi32(lower_two, twos, _mm512_slli_epi16(ones, 2), kChoose);
      high = _mm512_ternarylogic_epi32(lower_two, _mm512_srli_epi16(twos, 2), ones, kChoose);
    }
  }

  // Codes from bit kAt of each word of 16 bits on, whatever else is in the other bits.
  template <int kStep, int kAt = 0>
  __m512i codes() const {
    constexpr int kShift = (kBits == 3 ? kStep % 4 * 4 : kStep * kBits) - kAt;
    const __m512i from = kBits == 3 && kStep >= 4 ? high : low;
    if constexpr (kShift == 0) return from;
    if constexpr (kShift < 0) return _mm512_slli_epi16(from, -kShift);
    return _mm512_srli_epi16(from, kShift);
  }

  __m512i low;
  __m512i high;  // of 3 bits
};

}  // namespace qloft::kernels::avx512_kernels
