#pragma once
// Where a code lies in a packed row (docs/formats.md). One group of 32 codes of b bits is 4 b
// bytes: its bits are split from the least significant on into planes 4, 2 and 1 bits wide (8 bits:
// one plane), the wider plane first. Within a plane of width w, field f of byte k belongs to the
// element
//
//   w = 4:  k = 0..15, f = 0..1   8 (k / 4) + 4 f + k % 4
//   w = 2:  k = 0..7,  f = 0..3   16 (f % 2) + 8 (k / 4) + 4 (f / 2) + k % 4
//   w = 1:  k = 0..3,  f = 0..7   8 (f % 4) + 4 (f / 4) + k
//
// so that one shift a lane spreads a plane over 32 bytes in the same order at every width: byte
// 16 h + k holds element 8 (k / 4) + 4 h + k % 4, and interleaving the two halves by words of four
// gives elements in rising order.

#include <cstdint>

namespace qloft::kernels {

// Plane widths of `bits`, each 0 or its width: low to high significance.
struct Planes {
  bool eight, four, two, one;
};

constexpr Planes planes_of(int bits) {
  return {bits == 8, bits != 8 && (bits & 4) != 0, bits != 8 && (bits & 2) != 0,
          bits != 8 && (bits & 1) != 0};
}

// Byte and shift of an element's field within its plane.
struct Field {
  int byte, shift;
};

constexpr Field four_field(int element) {
  return {element / 8 * 4 + element % 4, element % 8 / 4 * 4};
}
constexpr Field two_field(int element) {
  return {element % 16 / 8 * 4 + element % 4, 2 * (element / 16 + element % 8 / 4 * 2)};
}
constexpr Field one_field(int element) {
  return {element % 4, element / 8 + element % 8 / 4 * 4};
}

// Values of fixed-point codes and activations stay within these, so that eight products fit 32
// bits.
inline constexpr int kFixedCode = 16383;
inline constexpr int kFixedActivation = 16383;

// Walks the blocks of a row, 16 elements a step, from element `first` on, a multiple of 16.
struct BlockWalk {
  BlockWalk(std::int64_t block, std::int64_t first)
      : halves(block / 16), index(first / block), left(halves - first % block / 16) {}
  std::int64_t next() {
    const std::int64_t now = index;
    if (--left == 0) {
      ++index;
      left = halves;
    }
    return now;
  }
  std::int64_t halves, index, left;
};

}  // namespace qloft::kernels
