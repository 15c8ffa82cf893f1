// Table::add_rows over GCC's vector types, written once. Each <set>/encode.cpp includes this within
// an unnamed namespace, after naming kAddLanes, in a region compiled for its instruction set; it
// has no guard and includes nothing.

typedef float AddLanes __attribute__((vector_size(4 * kAddLanes)));
typedef float LooseAddLanes __attribute__((vector_size(4 * kAddLanes), aligned(4), may_alias));

template <int kVectors>
inline void add_rows_to(const float* w, std::int64_t stride, std::int64_t rows, const float* p,
                        float* y) {
  AddLanes sums[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    sums[v] = *reinterpret_cast<const LooseAddLanes*>(y + v * kAddLanes);
  }
  for (std::int64_t i = 0; i < rows; ++i, w += stride) {
    for (int v = 0; v < kVectors; ++v) {
      sums[v] += p[i] * *reinterpret_cast<const LooseAddLanes*>(w + v * kAddLanes);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    *reinterpret_cast<LooseAddLanes*>(y + v * kAddLanes) = sums[v];
  }
}

void add_rows(const float* w, std::int64_t stride, std::int64_t rows, const float* p,
              std::int64_t count, float* y) {
  constexpr int kVectors = 8;  // whose latencies overlap
  std::int64_t j = 0;
  for (; j + kVectors * kAddLanes <= count; j += kVectors * kAddLanes) {
    add_rows_to<kVectors>(w + j, stride, rows, p, y + j);
  }
  for (; j + kAddLanes <= count; j += kAddLanes) add_rows_to<1>(w + j, stride, rows, p, y + j);
  if (j < count) portable::add_rows(w + j, stride, rows, p, count - j, y + j);
}
