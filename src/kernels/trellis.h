#pragma once
// What every instruction set has in common for trellis codes (kernels.h, CodeValues::multiplier).
//
// A window holds the last kWindowBits bits of the codes down one column, the newest lowest, in the
// upper bits of a word of 16, so that older codes fall off the end. Its value is number
// (window * multiplier) mod 2^kWindowBits, the lower kWindowBits - 6 bits of which are dropped.
// Where the multiplier ends in k zeros, the k oldest bits choose nothing: a short window.

#include <bit>
#include <cstdint>

#include "qloft/kernels.h"

namespace qloft::kernels {

inline constexpr int kWindowBits = kTrellisWindowBits;
inline constexpr int kWindowShift = 16 - kWindowBits;
inline constexpr int kWindows = 1 << kWindowBits;
inline constexpr int kIndexShift = 10;  // of a word of 16 bits down to a number below 64

constexpr std::uint16_t next_window(std::uint16_t window, int code, int bits) {
  return static_cast<std::uint16_t>((window << bits) | (code << kWindowShift));
}
constexpr int value_index(std::uint16_t window, std::uint16_t multiplier) {
  return static_cast<std::uint16_t>(window * multiplier) >> kIndexShift;
}

// Bits of a window that choose its value.
constexpr int window_bits(const CodeValues& book) {
  return kWindowBits - std::countr_zero(book.multiplier);
}
// Of the code books with short windows: 64 states.
constexpr int short_window_bits(int bits) {
  return 6 + bits;
}

// A search counts in whole numbers of 16 bits. A distance is cut at the largest by which the costs
// of any two paths, and the least of them a row ago, stay 16 bits apart: within so many rows as a
// window reaches over every state can follow every other.
constexpr int rows_between_states(const CodeValues& book) {
  return (window_bits(book) + book.bits - 1) / book.bits;
}
constexpr std::uint16_t largest_distance(const CodeValues& book) {
  return static_cast<std::uint16_t>(65534 / (2 * rows_between_states(book) + 1));
}

// Units in a squared error of 1, by the sum of the rows' squared scales and the greatest of them.
// The largest distance is `kReach` squared scales, of the mean of the rows or an eighth of the
// greatest: what lies further off is hardly ever chosen. At few bits it is, where GPTQ's feedback
// has carried x far from the values.
inline float units_of_error(const CodeValues& book, float sum, float greatest, std::int64_t count) {
  constexpr float kReach[] = {10.f, 4.f, 2.f, 1.f};
  if (greatest < 1e-33f) greatest = 1e-33f;
  const float mean = sum / static_cast<float>(count);
  const float typical = mean > greatest / 8 ? mean : greatest / 8;
  return static_cast<float>(largest_distance(book)) / (kReach[book.bits - 1] * typical);
}
// The sum of squared scales has a sum for every kScaleLanes-th row, the upper half of which is
// added to the lower until one is left: the same in every set.
inline constexpr int kScaleLanes = 16;
inline float sum_of_scales(float (&lanes)[kScaleLanes]) {
  for (int half = kScaleLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// A value v, as book.fixed has it, lies a + beyond units of fixed_scale from x, a = |nearest - v|,
// nearest being x between the outermost values. Its squared error less that of x's place,
// a (a + 2 beyond), becomes
//   high(high(a' b'), weight),  a' = a 2^k,  b' = high(a', part) + 2 beyond 2^k part,
// with high() the upper 16 bits of a product, a' and b' cut at 16 bits, and `part` of 2^16 what
// keeps b' within them; then it is cut at the largest distance.
constexpr int distance_shift(int bits) {
  return bits / 2;
}
// Each twice in a word of 32 bits, which a processor spreads over a vector as it loads it.
struct Places {
  std::uint32_t nearest[kTrellisRows];  // signed
  std::uint32_t part[kTrellisRows];
  std::uint32_t beyond[kTrellisRows];  // 2 beyond 2^k part
  std::uint32_t weight[kTrellisRows];
};
constexpr std::uint32_t twice(std::uint16_t x) {
  return x * 0x10001u;
}
inline constexpr float kLeastUnit = 1e-37f;  // of fixed_scale times a row's scale; else all are 0
inline constexpr float kOutermost = 16383.f;
inline constexpr float kMostCount = 65535.f;
inline constexpr float kMostBeyond = 1e9f;
// What a row's squared scale is multiplied with, and divided by its part, to give its weight.
inline float weight_factor(const CodeValues& book, float units) {
  const float step =
      book.fixed_scale * 65536.f / static_cast<float>(1 << distance_shift(book.bits));
  return units * step * step;
}

// Where a search keeps what, within its workspace; a path is in the state that the window without
// its oldest code names.
struct SearchSpace {
  static constexpr int kPadding = 32;  // costs that vectors read past the end
  static constexpr std::size_t bytes(int window_bits, int bits) {
    const std::size_t states = std::size_t{1} << (window_bits - bits);
    return 2 * ((std::size_t{1} << window_bits) + kTrellisLevels + 2 * (states + kPadding)) +
           sizeof(Places) + kTrellisRows * states;
  }
  SearchSpace(void* workspace, const CodeValues& book)
      : windows(1 << window_bits(book)),
        states(windows >> book.bits),
        indices(static_cast<std::uint16_t*>(workspace)),
        distances(indices + windows),
        costs(distances + kTrellisLevels),
        next_costs(costs + states + kPadding),
        places(reinterpret_cast<Places*>(next_costs + states + kPadding)),
        decisions(reinterpret_cast<std::uint8_t*>(places + 1)) {}

  int windows;
  int states;
  std::uint16_t* indices;    // of values, by window
  std::uint16_t* distances;  // [kTrellisLevels], of one row
  std::uint16_t* costs;      // by state
  std::uint16_t* next_costs;
  Places* places;
  std::uint8_t* decisions;  // [rows, states]: the oldest code of the window that led there
};
static_assert(kSearchBytes >= SearchSpace::bytes(kWindowBits, 1));

// What the first state's path costs less than others before the first row, where only the window of
// zeros is: no path from elsewhere is ever as cheap.
constexpr std::uint16_t never(const CodeValues& book) {
  return static_cast<std::uint16_t>(largest_distance(book) * rows_between_states(book) + 1);
}

// Fills indices, and the costs before the first row.
inline void begin_search(const CodeValues& book, SearchSpace& space) {
  for (int window = 0; window < space.windows; ++window) {
    const auto word = static_cast<std::uint16_t>(window << kWindowShift);
    space.indices[window] = static_cast<std::uint16_t>(value_index(word, book.multiplier));
  }
  for (int s = 0; s < space.states + SearchSpace::kPadding; ++s) {
    space.costs[s] = never(book);
    space.next_costs[s] = 0;
  }
  space.costs[0] = 0;
}

// Follows the decisions back from the cheapest state after the last row.
inline void trace_back(const SearchSpace& space, int bits, std::int64_t count,
                       std::uint8_t* codes) {
  int state = 0;
  for (int s = 1; s < space.states; ++s) {
    if (space.costs[s] < space.costs[state]) state = s;
  }
  for (std::int64_t i = count - 1; i >= 0; --i) {
    codes[i] = static_cast<std::uint8_t>(state & ((1 << bits) - 1));
    const int oldest = space.decisions[i * space.states + state];
    state = (oldest * (space.states >> bits)) | (state >> bits);
  }
}

// Table::dot_trellis by a table's advance_windows and dot, row by row, in rising order of columns.
inline void dot_trellis_by_row(decltype(Table::advance_windows) advance, decltype(Table::dot) dot,
                               const CodeValues& book, const PackedRow* rows, std::int64_t count,
                               const Activations& x, float* y, std::int64_t y_stride,
                               std::uint16_t* windows) {
  for (std::int64_t r = 0; r < count; ++r) {
    advance(rows[r].codes, x.columns, book.bits, windows, windows);
    PackedRow row = rows[r];
    row.windows = windows;
    dot(book, &row, 1, x, y + r, y_stride);
  }
}

}  // namespace qloft::kernels
