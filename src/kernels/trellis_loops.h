// Viterbi's search over GCC's vector types, written once. Each <set>/trellis.cpp includes this
// within an unnamed namespace, after naming kLanes, in a region compiled for its instruction set;
// it has no guard and includes nothing.

typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::uint8_t LooseBytes __attribute__((vector_size(kLanes), aligned(1), may_alias));

template <int kBits>
inline void search_row(const SearchSpace& space, float x, float scale, std::uint8_t* decisions) {
  constexpr int kStates = kWindows >> kBits;
  constexpr int kShift = kWindowBits - 2 * kBits;
  Ints spread;
  for (int i = 0; i < kLanes; ++i) spread[i] = i >> kBits;
  for (int state = 0; state < kStates; state += kLanes) {
    Lanes least = __builtin_inff() - Lanes{};
    Ints best = {};
#pragma GCC unroll 16
    for (int oldest = 0; oldest < 1 << kBits; ++oldest) {
      const auto values =
          *reinterpret_cast<const LooseLanes*>(space.values + oldest * kStates + state);
      const auto before =
          *reinterpret_cast<const LooseLanes*>(space.costs + (oldest << kShift) + (state >> kBits));
      const Lanes error = x - scale * values;
      const Lanes cost = error * error + __builtin_shuffle(before, spread);
      const Ints better = cost < least;
      best = better ? oldest - Ints{} : best;
      least = better ? cost : least;
    }
    *reinterpret_cast<LooseLanes*>(space.next_costs + state) = least;
    *reinterpret_cast<LooseBytes*>(decisions + state) = __builtin_convertvector(best, LooseBytes);
  }
}

inline void search(const Codebook& book, const float* x, const float* scales, std::int64_t count,
                   void* workspace, std::uint8_t* codes) {
  SearchSpace space(workspace, book.bits);
  begin_search(book, space);
  with_width<4>(book.bits, [&](auto width) {
    for (std::int64_t i = 0; i < count; ++i) {
      search_row<width()>(space, x[i], scales[i], space.decisions + i * space.states);
      float* const costs = space.costs;
      space.costs = space.next_costs;
      space.next_costs = costs;
    }
  });
  trace_back(space, book.bits, count, codes);
}
