// Viterbi's search over GCC's vector types, written once. Each <set>/trellis.cpp includes this
// within an unnamed namespace, after naming kLanes, in a region compiled for its instruction set;
// it has no guard and includes nothing.

constexpr int kFloatLanes = kLanes / 2;
typedef std::uint16_t Counts __attribute__((vector_size(2 * kLanes)));
typedef std::uint16_t LooseCounts __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));
typedef std::uint8_t LooseBytes __attribute__((vector_size(kLanes), aligned(1), may_alias));
typedef float Lanes __attribute__((vector_size(4 * kFloatLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kFloatLanes), aligned(4), may_alias));
typedef std::int32_t Ints __attribute__((vector_size(4 * kFloatLanes)));
typedef std::uint16_t HalfCounts __attribute__((vector_size(kLanes), aligned(2), may_alias));

inline void measure(const CodeValues& book, float x, float scale, float units,
                    std::uint16_t* distances) {
  constexpr int kVectors = kTrellisLevels / kFloatLanes;
  const auto largest = static_cast<float>(largest_distance(book));
  Lanes errors[kVectors];
  Lanes nearest = __builtin_inff() - Lanes{};
  for (int v = 0; v < kVectors; ++v) {
    const auto values = *reinterpret_cast<const LooseLanes*>(book.values + v * kFloatLanes);
    const Lanes error = x - scale * values;
    errors[v] = error * error;
    nearest = errors[v] < nearest ? errors[v] : nearest;
  }
  float least = nearest[0];
  for (int i = 1; i < kFloatLanes; ++i) least = nearest[i] < least ? nearest[i] : least;
  for (int v = 0; v < kVectors; ++v) {
    Lanes distance = (errors[v] - least) * units + 0.5f;
    distance = distance < largest ? distance : largest - Lanes{};
    *reinterpret_cast<HalfCounts*>(distances + v * kFloatLanes) =
        __builtin_convertvector(__builtin_convertvector(distance, Ints), HalfCounts);
  }
}

inline std::uint16_t least_of(const Counts& counts) {
  typedef std::uint16_t Eight __attribute__((vector_size(16)));
  Eight parts[kLanes / 8];
  std::memcpy(parts, &counts, sizeof parts);
  for (int i = 1; i < kLanes / 8; ++i) parts[0] = parts[i] < parts[0] ? parts[i] : parts[0];
  const __m128i least = _mm_minpos_epu16(reinterpret_cast<__m128i>(parts[0]));
  return static_cast<std::uint16_t>(_mm_cvtsi128_si32(least));
}

// The costs after a row, less `floor`, and the least of them. `lookup(window)` gives the distances
// of a vector of windows, `spread<bits>(costs)` a vector of costs, each 2^bits times.
template <int kBits, int kWindow, typename Lookup>
inline std::uint16_t search_row(const SearchSpace& space, const Lookup& lookup,
                                std::uint8_t* decisions) {
  constexpr int kStates = 1 << (kWindow - kBits);
  constexpr int kShift = kWindow - 2 * kBits;
  Counts floor = ~Counts{};
  for (int state = 0; state < kStates; state += kLanes) {
    Counts least = {}, best = {};
#pragma GCC unroll 16
    for (int oldest = 0; oldest < 1 << kBits; ++oldest) {
      const Counts cost =
          lookup(oldest * kStates + state) +
          Lookup::template spread<kBits>(space.costs + (oldest << kShift) + (state >> kBits));
      if (oldest == 0) {
        least = cost;
        continue;
      }
      const auto better = cost < least;
      best = better ? static_cast<std::uint16_t>(oldest) - Counts{} : best;
      least = better ? cost : least;
    }
    *reinterpret_cast<LooseCounts*>(space.next_costs + state) = least;
    *reinterpret_cast<LooseBytes*>(decisions + state) = __builtin_convertvector(best, LooseBytes);
    floor = least < floor ? least : floor;
  }
  return least_of(floor);
}

template <int kBits, int kWindow, typename Lookup>
inline void search_rows(SearchSpace& space, std::int64_t count) {
  std::uint16_t floor = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const Lookup lookup(space, space.distances + i * kTrellisLevels, floor);
    floor = search_row<kBits, kWindow>(space, lookup, space.decisions + i * space.states);
    std::uint16_t* const costs = space.costs;
    space.costs = space.next_costs;
    space.next_costs = costs;
  }
}

// Lookup(space, distances of a row, what to take off them).
template <typename Lookup>
inline void search_by(const CodeValues& book, const float* x, const float* scales,
                      std::int64_t count, void* workspace, std::uint8_t* codes) {
  SearchSpace space(workspace, book);
  begin_search(book, space);
  const float units = units_of_error(book, scales, count);
  for (std::int64_t i = 0; i < count; ++i) {
    measure(book, x[i], scales[i], units, space.distances + i * kTrellisLevels);
  }
  with_width<4>(book.bits, [&](auto width) {
    if (window_bits(book) == kWindowBits) {
      search_rows<width(), kWindowBits, Lookup>(space, count);
    } else {
      search_rows<width(), short_window_bits(width()), Lookup>(space, count);
    }
  });
  trace_back(space, book.bits, count, codes);
}
