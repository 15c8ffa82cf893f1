#pragma once
// Packed codes of up to 4 bits as the products take them, a vector at a time.
// For the sources of this folder alone, which include it where the compiler is told to use AVX-512,
// and its own includes before that: <array>, <cstdint>, "qloft/kernels.h" and the intrinsics.

namespace qloft::kernels::avx512_kernels {

// What is multiplied at a time: the codes in one vector or, of 3 bits, in three, of which each lane
// holds one group. They are read as words of 16 bits, 32 at once, whose fields are shifted down one
// after another to look up 32 values.
template <int kBits>
struct Chunk {
  static constexpr int kWidth = kBits - (kBits == 3 ? 1 : 0);  // of a field
  static constexpr int kGroups = kBits == 3 ? 16 : 16 / kBits;
  static constexpr int kColumns = kGroups * static_cast<int>(kGroup);
  static constexpr int kSteps = kColumns / 32;

  // The group that lane `lane`, of 32 bits, holds codes of. At 3 bits that whose first word lies in
  // this lane of one of three vectors: word 3 * group of 48.
  static constexpr int group(int lane) {
    return kBits == 3 ? (lane + 16 * (2 * lane % 3)) / 3 : lane / kBits;
  }
  // The bit of its word at which a step's code begins. At 3 bits four steps each take the even and
  // the odd fields of a group's first 32 bits, then of its second.
  static constexpr int start_bit(int step) {
    return kBits == 3 ? step % 4 * 4 + step / 4 % 2 * 2 : step * kBits;
  }

  // Which column of the chunk word `word` gives at step `step`.
  static constexpr int column(int step, int word) {
    const int before = kBits == 3 ? step / 8 * 4 + word % 2 * 2 : word % (2 * kBits) * 2;
    const int byte = before + start_bit(step) / 8;
    const int field = start_bit(step) % 8 / kWidth;  // within the byte, as layout.h has it
    const int first = kWidth == 4   ? 8 * (byte / 4) + 4 * field
                      : kWidth == 2 ? 16 * (field % 2) + 8 * (byte / 4) + 4 * (field / 2)
                                    : 8 * (field % 4) + 4 * (field / 4);
    return group(word / 2) * static_cast<int>(kGroup) + first + byte % 4;
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
    if constexpr (kBits == 3) {
      join_planes(_mm512_maskz_loadu_epi32(first_lanes(3 * groups), in),
                  _mm512_maskz_loadu_epi32(first_lanes(3 * groups - 16), in + 64),
                  _mm512_maskz_loadu_epi32(first_lanes(3 * groups - 32), in + 128));
    } else {
      even[0] = _mm512_maskz_loadu_epi32(first_lanes(groups * kBits), in);
    }
  }

  // Codes from bit kAt of each word of 16 bits on, whatever else is in the other bits.
  template <int kStep, int kAt = 0>
  __m512i codes() const {
    constexpr int kStart = Chunk<kBits>::start_bit(kStep), kShift = kStart - kAt;
    if constexpr (kBits != 3) return shift_halves<kShift>(even[0]);
    if constexpr (kStart % 4 == 0) return shift_halves<kShift>(even[kStep / 8]);
    // The last field's third bit lies in the other half of 32 bits; else a shift, which is faster.
    const __m512i from = odd[kStep / 8];
    if constexpr (kShift == 0) return from;
    if constexpr (kStart == 14 || kShift < 0) return _mm512_ror_epi32(from, kShift & 31);
    return _mm512_srli_epi32(from, kShift & 31);
  }

  // At 3 bits, else all words in even[0]: the even and the odd fields of the plane of 2 bits, in
  // its first and second half, each with its third bit above it in place of the field there.
  __m512i even[kBits == 3 ? 2 : 1];
  __m512i odd[kBits == 3 ? 2 : 1];

 private:
  // A group is three words of 32 bits. Of 48 in a row those three apart lie in 16 different lanes,
  // so that blends bring together the first words of all groups, each in the lane of
  // Chunk::group(), the second ones a lane further and the third ones two.
  void join_planes(const __m512i& a, const __m512i& b, const __m512i& c) {
    const __m512i first = every_third(a, b, c);
    const __m512i second = every_third(b, c, a);
    const __m512i third_bits = every_third(c, a, b);
    const __m512i twos[] = {first, _mm512_alignr_epi32(second, second, 1)};
    const __m512i ones = _mm512_alignr_epi32(third_bits, third_bits, 2);
    // Third bits lie where their fields begin, those of the second half one up.
    const __m512i above[] = {_mm512_rol_epi32(ones, 2), _mm512_rol_epi32(ones, 1)};
    constexpr int kChoose = 0xca;  // first ? second : third
    const __m512i lower_two = _mm512_set1_epi8(0x33);
    for (int i = 0; i < 2; ++i) {
      even[i] = _mm512_ternarylogic_epi32(lower_two, twos[i], above[i], kChoose);
      odd[i] = _mm512_ternarylogic_epi32(lower_two, above[i], twos[i], kChoose);
    }
  }
  // Lanes 0, 3, ... of a, 2, 5, ... of b, 1, 4, ... of c.
  static __m512i every_third(const __m512i& a, const __m512i& b, const __m512i& c) {
    return _mm512_mask_mov_epi32(_mm512_mask_mov_epi32(a, 0x4924, b), 0x2492, c);
  }

  template <int kShift>
  static __m512i shift_halves(const __m512i& from) {
    if constexpr (kShift < 0) return _mm512_slli_epi16(from, -kShift);
    return kShift == 0 ? from : _mm512_srli_epi16(from, kShift & 15);
  }
};

// Which of the blocks of 2^log_block columns that a chunk reaches into each lane's codes lie in.
template <int kBits>
__m512i block_of_lane(int log_block) {
  alignas(64) static constexpr auto kColumn = [] {
    std::array<std::int32_t, 16> out = {};
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = Chunk<kBits>::group(static_cast<int>(i)) * static_cast<int>(kGroup);
    return out;
  }();
  return _mm512_srlv_epi32(_mm512_load_si512(kColumn.data()), _mm512_set1_epi32(log_block));
}

// One chunk of kRows rows, from column `first` on: its words, and each lane's scale.
template <int kBits, int kRows>
struct RowChunks {
  // `blocks` of the blocks of 2^log_block columns from there reach into its `groups` groups.
  QLOFT_AVX512_INLINE RowChunks(const PackedRow* rows, std::int64_t first, std::int64_t groups,
                                __mmask16 blocks, int log_block, const __m512i& block_of_lane) {
    for (int r = 0; r < kRows; ++r) {
      words[r] = Words<kBits>(rows[r].codes + first / kGroup * 4 * kBits, groups);
      scales[r] = _mm512_permutexvar_ps(
          block_of_lane, _mm512_maskz_loadu_ps(blocks, rows[r].scales + (first >> log_block)));
    }
  }
  Words<kBits> words[kRows];
  __m512 scales[kRows];
};

}  // namespace qloft::kernels::avx512_kernels
