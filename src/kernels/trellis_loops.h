// Viterbi's search over GCC's vector types, written once. Each <set>/trellis.cpp includes this
// within an unnamed namespace, in a region compiled for its instruction set, after naming kLanes, a
// vector of Counts and its add_saturated and high_product; it has no guard and includes nothing.

typedef std::uint16_t LooseCounts __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));
typedef std::int16_t Signed __attribute__((vector_size(2 * kLanes)));
typedef std::int16_t LooseSigned __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));
constexpr int kFloatLanes = kLanes / 2;
typedef float Floats __attribute__((vector_size(4 * kFloatLanes)));
typedef float LooseFloats __attribute__((vector_size(4 * kFloatLanes), aligned(4), may_alias));
typedef std::int32_t Whole __attribute__((vector_size(4 * kFloatLanes)));
typedef std::uint32_t Pairs __attribute__((vector_size(2 * kLanes)));
typedef std::uint32_t LoosePairs __attribute__((vector_size(2 * kLanes), aligned(4), may_alias));
typedef std::uint8_t LooseBytes __attribute__((vector_size(kLanes), aligned(1), may_alias));

inline Floats floats(const float* x) {
  return *reinterpret_cast<const LooseFloats*>(x);
}
inline void store_twice(std::uint32_t* to, Whole x) {
  *reinterpret_cast<LoosePairs*>(to) = reinterpret_cast<Pairs>((x & 0xffff) | x << 16);
}
inline void store_twice(std::uint32_t* to, Floats x) {
  store_twice(to, __builtin_convertvector(x, Whole));
}
inline Counts spread_over(std::uint32_t twice) {
  return reinterpret_cast<Counts>(twice - Pairs{});
}

void find_places(const CodeValues& book, const float* x, const float* scales, std::int64_t count,
                 Places& places) {
  float padded[2][kTrellisRows];
  const std::int64_t whole = (count + kScaleLanes - 1) / kScaleLanes * kScaleLanes;
  if (whole != count) {
    for (std::int64_t i = 0; i < whole; ++i) {
      padded[0][i] = i < count ? x[i] : 0.f;
      padded[1][i] = i < count ? scales[i] : 0.f;
    }
    x = padded[0];
    scales = padded[1];
  }
  constexpr int kVectors = kScaleLanes / kFloatLanes;
  Floats sums[kVectors] = {}, greatest = {};
  for (std::int64_t i = 0; i < whole; i += kScaleLanes) {
    for (int v = 0; v < kVectors; ++v) {
      const Floats scale = floats(scales + i + v * kFloatLanes);
      const Floats square = scale * scale;
      sums[v] += square;
      greatest = square > greatest ? square : greatest;
    }
  }
  float lanes[kScaleLanes], most = 0;
  std::memcpy(lanes, sums, sizeof lanes);
  for (int i = 0; i < kFloatLanes; ++i) most = greatest[i] > most ? greatest[i] : most;
  const float factor = weight_factor(book, units_of_error(book, sum_of_scales(lanes), most, count));
  const auto spread = static_cast<float>(2 << distance_shift(book.bits));
  const Floats zero = {};
  for (std::int64_t i = 0; i < whole; i += kFloatLanes) {
    const Floats scale = floats(scales + i), unit = scale * book.fixed_scale;
    const Whole counts = unit > kLeastUnit;
    const Floats at = counts ? floats(x + i) / (counts ? unit : zero + 1.f) : zero;
    Floats inside = at > -kOutermost ? at : -kOutermost - zero;
    inside = inside < kOutermost ? inside : kOutermost - zero;
    Floats beyond = ((at < 0.f ? -at : at) - kOutermost) * spread;
    beyond = beyond > 0.f ? beyond : zero;
    beyond = beyond < kMostBeyond ? beyond : kMostBeyond - zero;
    const Floats part = kMostCount / (kMostCount + beyond);
    Floats weight = counts ? scale * scale * factor / part + 0.5f : zero;
    weight = weight < kMostCount ? weight : kMostCount - zero;
    const Whole nearest = __builtin_convertvector(inside + 16384.5f, Whole) - 16384;
    store_twice(places.nearest + i, nearest);
    store_twice(places.part + i, part * kMostCount);
    store_twice(places.beyond + i, beyond * part);
    store_twice(places.weight + i, weight);
  }
}

// The distances of a vector of values from x, as trellis.h defines them.
template <int kShift>
inline Counts distances_of(const Places& places, std::int64_t i, Signed values, Counts largest) {
  const Signed apart = reinterpret_cast<Signed>(spread_over(places.nearest[i])) - values;
  Counts a = reinterpret_cast<Counts>(apart < 0 ? -apart : apart);
  if constexpr (kShift > 0) a += a;
  if constexpr (kShift > 1) a = add_saturated(a, a);
  const Counts b =
      add_saturated(high_product(a, spread_over(places.part[i])), spread_over(places.beyond[i]));
  const Counts distance = high_product(high_product(a, b), spread_over(places.weight[i]));
  return distance < largest ? distance : largest;
}

inline void measure(const CodeValues& book, const Places& places, std::int64_t i,
                    std::uint16_t* distances) {
  const Counts largest = largest_distance(book) - Counts{};
  with_width<3>(distance_shift(book.bits) + 1, [&](auto shift) {
    for (int v = 0; v < kTrellisLevels; v += kLanes) {
      *reinterpret_cast<LooseCounts*>(distances + v) = distances_of<shift() - 1>(
          places, i, *reinterpret_cast<const LooseSigned*>(book.fixed + v), largest);
    }
  });
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
inline void search_rows(const CodeValues& book, SearchSpace& space, std::int64_t count) {
  std::uint16_t floor = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    measure(book, *space.places, i, space.distances);
    const Lookup lookup(space, space.distances, floor);
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
  find_places(book, x, scales, count, *space.places);
  with_width<4>(book.bits, [&](auto width) {
    if (window_bits(book) == kWindowBits) {
      search_rows<width(), kWindowBits, Lookup>(book, space, count);
    } else {
      search_rows<width(), short_window_bits(width()), Lookup>(book, space, count);
    }
  });
  trace_back(space, book.bits, count, codes);
}

// Each row's window from the codes above it, not from the window above: so rows need not wait for
// each other.
void trellis_values(const CodeValues& book, const std::uint8_t* codes, const float* scales,
                    std::int64_t count, float* values) {
  constexpr int kAbove = 16;  // rows of zeros
  std::uint16_t padded[kAbove + kTrellisRows + kLanes] = {};
  std::uint16_t indices[kTrellisRows + kLanes];
  for (std::int64_t i = 0; i < count; ++i) padded[kAbove + i] = codes[i];
  const int above = rows_between_states(book);
  for (std::int64_t i = 0; i < count; i += kLanes) {
    Counts windows = {};
    for (int k = 0; k < above; ++k) {
      const auto code = *reinterpret_cast<const LooseCounts*>(padded + kAbove + i - k);
      windows |= code << static_cast<std::uint16_t>(kWindowShift + k * book.bits);
    }
    *reinterpret_cast<LooseCounts*>(indices + i) = windows * book.multiplier >> kIndexShift;
  }
  for (std::int64_t i = 0; i < count; ++i) values[i] = scales[i] * book.values[indices[i]];
}
