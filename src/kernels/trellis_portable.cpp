// The plain twins of the kernels for trellis codes.
#include <algorithm>
#include <cstdlib>

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

void find_places(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
                 Places& places) {
  float sums[kScaleLanes] = {}, greatest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float square = scales[i] * scales[i];
    sums[i % kScaleLanes] += square;
    greatest = std::max(greatest, square);
  }
  const float factor =
      weight_factor(book, units_of_error(book, sum_of_scales(sums), greatest, count));
  const auto spread = static_cast<float>(2 << distance_shift(book.bits));
  for (std::int64_t i = 0; i < count; ++i) {
    const float unit = scales[i] * book.fixed_scale;
    const bool counts = unit > kLeastUnit;
    const float at = counts ? x[i] / unit : 0.f;
    float inside = at > -kOutermost ? at : -kOutermost;
    inside = inside < kOutermost ? inside : kOutermost;
    float beyond = ((at < 0.f ? -at : at) - kOutermost) * spread;
    beyond = beyond > 0.f ? beyond : 0.f;
    beyond = beyond < kMostBeyond ? beyond : kMostBeyond;
    const float part = kMostCount / (kMostCount + beyond);
    float weight = counts ? scales[i] * scales[i] * factor / part + 0.5f : 0.f;
    weight = weight < kMostCount ? weight : kMostCount;
    places.part[i] = twice(static_cast<std::uint16_t>(part * kMostCount));
    places.nearest[i] =
        twice(static_cast<std::uint16_t>(static_cast<int>(inside + 16384.5f) - 16384));
    places.beyond[i] = twice(static_cast<std::uint16_t>(beyond * part));
    places.weight[i] = twice(static_cast<std::uint16_t>(weight));
  }
}

void measure(const CodeValues& book, const Places& places, std::int64_t i,
             std::uint16_t* distances) {
  const unsigned shift = static_cast<unsigned>(distance_shift(book.bits));
  const int nearest = static_cast<std::int16_t>(places.nearest[i]);
  const unsigned part = static_cast<std::uint16_t>(places.part[i]);
  const unsigned beyond = static_cast<std::uint16_t>(places.beyond[i]);
  const unsigned weight = static_cast<std::uint16_t>(places.weight[i]);
  for (int v = 0; v < kTrellisLevels; ++v) {
    const auto apart = static_cast<unsigned>(std::abs(nearest - book.fixed[v]));
    const unsigned a = std::min(apart << shift, 65535u);
    const unsigned b = std::min((a * part >> 16) + beyond, 65535u);
    const unsigned distance = (a * b >> 16) * weight >> 16;
    distances[v] = std::min(static_cast<std::uint16_t>(distance), largest_distance(book));
  }
}

}  // namespace

void search(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
            void* workspace, std::uint8_t* codes) {
  SearchSpace space(workspace, book);
  begin_search(book, space);
  find_places(book, x, scales, count, *space.places);
  const int shift = window_bits(book) - 2 * book.bits;
  int floor = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    measure(book, *space.places, i, space.distances);
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

void trellis_values(const CodeValues& book, const std::uint8_t* codes, const float* scales,
                    std::int64_t count, float* values) {
  std::uint16_t window = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = scales[i] * next_trellis_value(book, codes[i], window);
  }
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
