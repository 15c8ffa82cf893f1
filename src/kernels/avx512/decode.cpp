// Packed rows of up to 4 bits to f32 and bf16; wider codes go to AVX2.
#include "table.h"

#if defined(__x86_64__)

#include <cstdint>
#include <cstring>

#include "../avx2.h"
#include "../layout.h"
#include "../trellis.h"
#include "../widths.h"
#include "begin_avx512.h"

namespace qloft::kernels::avx512_kernels {

namespace {

// The values of elements 16 h to 16 h + 15 of a group. Shifts and tables make use of that
// vpermps takes the low four bits of an index: tables of fewer values repeat.
template <int kBits>
struct Decoder {
  using Input = std::uint8_t;
  static constexpr int kStep = 4 * kBits;  // from one group to the next
  static const Input* input(const PackedRow& row, std::int64_t first) {
    return row.codes + first / kGroup * kStep;
  }

  explicit Decoder(const CodeValues& book) {
    alignas(64) float values[16];
    for (int i = 0; i < 16; ++i) values[i] = book.values[i & ((1 << kBits) - 1)];
    table = _mm512_loadu_ps(values);
    shifts = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28);
  }

  // 32-bit word `a` in the lower eight lanes, `b` in the upper.
  static __m512i pair(const std::uint8_t* a, const std::uint8_t* b) {
    int low;
    int high;
    std::memcpy(&low, a, 4);
    std::memcpy(&high, b, 4);
    return _mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high);
  }

  __m512 half(const std::uint8_t* in, int h) const {
    if constexpr (kBits == 4) {
      return lookup(_mm512_srlv_epi32(pair(in + 8 * h, in + 8 * h + 4), shifts));
    } else if constexpr (kBits == 2) {
      return lookup(two(in, h));
    } else if constexpr (kBits == 1) {
      return lookup(one(in, h));
    } else {
      const __m512i low = _mm512_and_si512(two(in, h), _mm512_set1_epi32(3));
      const __m512i high =
          _mm512_slli_epi32(_mm512_and_si512(one(in + 8, h), _mm512_set1_epi32(1)), 2);
      return lookup(_mm512_or_si512(low, high));
    }
  }

  __m512i two(const std::uint8_t* in, int h) const {
    return _mm512_srlv_epi32(pair(in, in + 4), _mm512_add_epi32(shifts, _mm512_set1_epi32(2 * h)));
  }
  __m512i one(const std::uint8_t* in, int h) const {
    const __m512i vectors = _mm512_mask_set1_epi32(_mm512_set1_epi32(2 * h), 0xff00, 2 * h + 1);
    return _mm512_srlv_epi32(pair(in, in), _mm512_add_epi32(shifts, vectors));
  }
  __m512 lookup(__m512i n) const { return _mm512_permutexvar_ps(n, table); }

  __m512 table;
  __m512i shifts;
};

// The same of a trellis code, from windows.
struct WindowDecoder {
  using Input = std::uint16_t;
  static constexpr int kStep = kGroup;
  static const Input* input(const PackedRow& row, std::int64_t first) {
    return row.windows + first;
  }

  explicit WindowDecoder(const CodeValues& book) : multiplier(_mm512_set1_epi32(book.multiplier)) {
    for (int k = 0; k < 4; ++k) values[k] = _mm512_loadu_ps(book.values + 16 * k);
  }

  __m512 half(const Input* in, int h) const {
    const __m512i window =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 16 * h)));
    // The low 16 bits of the product count: above kIndexShift six bits are left.
    const __m512i n = _mm512_srli_epi32(_mm512_mullo_epi16(window, multiplier), kIndexShift);
    const __m512 low = _mm512_permutex2var_ps(values[0], n, values[1]);
    const __m512 high = _mm512_permutex2var_ps(values[2], n, values[3]);
    return _mm512_mask_blend_ps(_mm512_test_epi32_mask(n, _mm512_set1_epi32(32)), low, high);
  }

  __m512i multiplier;
  __m512 values[4];
};

inline void store(__m512 v, float* out) {
  _mm512_storeu_ps(out, v);
}
inline void store(__m512 v, BFloat16* out) {
  const __m512i u = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  const __m512i r =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(r));
}

template <typename D, typename Out>
void decode_groups(const CodeValues& book, const PackedRow& row, std::int64_t first,
                   std::int64_t groups, Out* out) {
  const D decoder(book);
  auto in = D::input(row, first);
  BlockWalk walk(row.block, first);
  for (std::int64_t g = 0; g < groups; ++g, in += D::kStep, out += kGroup) {
    for (int h = 0; h < 2; ++h) {
      const std::int64_t block = walk.next();
      __m512 v = _mm512_mul_ps(decoder.half(in, h), _mm512_set1_ps(row.scales[block]));
      if (row.offsets != nullptr) v = _mm512_add_ps(v, _mm512_set1_ps(row.offsets[block]));
      store(v, out + 16 * h);
    }
  }
}

// `rest` decodes what is left: AVX2's kernel for the type.
template <typename Out, typename Rest>
void decode(const CodeValues& book, const PackedRow& row, std::int64_t columns, std::int64_t first,
            std::int64_t count, Out* out, Rest rest) {
  const std::int64_t whole = book.bits <= 4 ? count / kGroup * kGroup : 0;
  if (row.windows != nullptr) {
    decode_groups<WindowDecoder>(book, row, first, whole / kGroup, out);
  } else if (whole > 0) {
    with_width<4>(book.bits, [&](auto width) {
      decode_groups<Decoder<width()>>(book, row, first, whole / kGroup, out);
    });
  }
  if (whole < count) rest(book, row, columns, first + whole, count - whole, out + whole);
}

void decode_f32(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                std::int64_t first, std::int64_t count, float* out) {
  decode(book, row, columns, first, count, out, avx2_table().decode_f32);
}

void decode_bf16(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, BFloat16* out) {
  decode(book, row, columns, first, count, out, avx2_table().decode_bf16);
}

}  // namespace

void add_decoding(Table& table) {
  table.decode_f32 = decode_f32;
  table.decode_bf16 = decode_bf16;
}

}  // namespace qloft::kernels::avx512_kernels

#include "end_avx512.h"

#endif  // __x86_64__
