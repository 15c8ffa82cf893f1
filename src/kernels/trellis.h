#pragma once
// What every instruction set has in common for trellis codes (kernels.h, Codebook::multiplier).
//
// A window holds the last kWindowBits bits of the codes down one column, the newest lowest, in the
// upper bits of a word of 16, so that older codes fall off the end. Its value is number
// (window * multiplier) mod 2^kWindowBits, the lower kWindowBits - 6 bits of which are dropped.

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

// Where a search keeps what, within its workspace; a path is in the state that the window without
// its oldest code names.
struct SearchSpace {
  static constexpr int kPadding = 16;  // floats that vectors read past the end
  SearchSpace(void* workspace, int bits)
      : states(kWindows >> bits),
        values(static_cast<float*>(workspace)),
        costs(values + kWindows),
        next_costs(costs + states + kPadding),
        decisions(reinterpret_cast<std::uint8_t*>(next_costs + states + kPadding)) {}

  int states;
  float* values;            // by window
  float* costs;             // by state
  float* next_costs;        // by state
  std::uint8_t* decisions;  // [rows, states]: the oldest code of the window that led there
};
static_assert(kSearchBytes >=
              sizeof(float) * (kWindows + 2 * (kWindows / 2 + 16)) + kTrellisRows * (kWindows / 2));

// Fills values and the costs before the first row, where only the window of zeros is.
inline void begin_search(const Codebook& book, SearchSpace& space) {
  for (int window = 0; window < kWindows; ++window) {
    const auto word = static_cast<std::uint16_t>(window << kWindowShift);
    space.values[window] = book.values[value_index(word, book.multiplier)];
  }
  constexpr float kNever = __builtin_inff();
  for (int s = 0; s < space.states + SearchSpace::kPadding; ++s) {
    space.costs[s] = space.next_costs[s] = kNever;
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
    state = (oldest << (kWindowBits - 2 * bits)) | (state >> bits);
  }
}

// Table::dot_trellis by a table's advance_windows and dot, row by row, in rising order of columns.
inline void dot_trellis_by_row(decltype(Table::advance_windows) advance, decltype(Table::dot) dot,
                               const Codebook& book, const PackedRow* rows, std::int64_t count,
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
