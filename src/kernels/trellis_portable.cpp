// The plain twins of the kernels for trellis codes.
#include <algorithm>

#include "portable.h"
#include "trellis.h"

namespace qloft::kernels::portable {

void advance_windows(const std::uint8_t* packed, std::int64_t count, int bits,
                     const std::uint16_t* before, std::uint16_t* after) {
  for (std::int64_t first = 0; first < count; first += kGroup, packed += 4 * bits) {
    std::uint8_t codes[kGroup];
    const std::int64_t left = std::min(kGroup, count - first);
    unpack(packed, left, bits, codes);
    for (std::int64_t i = 0; i < left; ++i) {
      const std::uint16_t above = before != nullptr ? before[first + i] : std::uint16_t{0};
      after[first + i] = next_window(above, codes[i], bits);
    }
  }
}

namespace {

void measure(const CodeValues& book, float x, float scale, float units, std::uint16_t* distances) {
  const auto largest = static_cast<float>(largest_distance(book));
  float errors[kTrellisLevels];
  for (int v = 0; v < kTrellisLevels; ++v) {
    const float error = x - scale * book.values[v];
    errors[v] = error * error;
  }
  const float least = *std::min_element(errors, errors + kTrellisLevels);
  for (int v = 0; v < kTrellisLevels; ++v) {
    const float distance = (errors[v] - least) * units + 0.5f;
    distances[v] = static_cast<std::uint16_t>(distance < largest ? distance : largest);
  }
}

}  // namespace

void search(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
            void* workspace, std::uint8_t* codes) {
  SearchSpace space(workspace, book);
  begin_search(book, space);
  const float units = units_of_error(book, scales, count);
  const int shift = window_bits(book) - 2 * book.bits;
  int floor = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    measure(book, x[i], scales[i], units, space.distances);
    std::uint8_t* decisions = space.decisions + i * space.states;
    for (int state = 0; state < space.states; ++state) {
      int least = 1 << 16, best = 0;
      for (int oldest = 0; oldest < 1 << book.bits; ++oldest) {
        const int cost = space.costs[(oldest << shift) + (state >> book.bits)] - floor +
                         space.distances[space.indices[oldest * space.states + state]];
        best = cost < least ? oldest : best;
        least = std::min(cost, least);
      }
      space.next_costs[state] = static_cast<std::uint16_t>(least);
      decisions[state] = static_cast<std::uint8_t>(best);
    }
    floor = *std::min_element(space.next_costs, space.next_costs + space.states);
    std::swap(space.costs, space.next_costs);
  }
  trace_back(space, book.bits, count, codes);
}

void dot_trellis(const CodeValues& book, const PackedRow* rows, std::int64_t count,
                 const Activations& x, float* y, std::int64_t y_stride, std::uint16_t* windows) {
  dot_trellis_by_row(advance_windows, dot, book, rows, count, x, y, y_stride, windows);
}

}  // namespace qloft::kernels::portable

namespace qloft::kernels {

float next_trellis_value(const CodeValues& book, int code, std::uint16_t& window) {
  window = next_window(window, code, book.bits);
  return book.values[value_index(window, book.multiplier)];
}

}  // namespace qloft::kernels
