// Vectors of the loops of DenseTable. Each dense_<set>.cpp includes this within an unnamed
// namespace, after naming kLanes, in a region compiled for its instruction set; it has no guard and
// includes nothing.

typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::uint16_t Halves __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));
typedef std::int8_t Bytes __attribute__((vector_size(kLanes), aligned(1), may_alias));
typedef std::uint32_t Words __attribute__((vector_size(4 * kLanes)));

inline Lanes load(const float* x) {
  return *reinterpret_cast<const LooseLanes*>(x);
}
inline Lanes load(const BFloat16* x) {
  const Words wide = __builtin_convertvector(*reinterpret_cast<const Halves*>(x), Words) << 16;
  return reinterpret_cast<Lanes>(wide);
}
inline void store(float* x, Lanes v) {
  *reinterpret_cast<LooseLanes*>(x) = v;
}
inline Lanes all(float x) {
  return x - Lanes{};
}
// Both stay in registers, where the compiler would read them again for each use.
inline void keep([[maybe_unused]] Lanes& a, [[maybe_unused]] Lanes& b) {
#if defined(__x86_64__)
  if constexpr (kLanes == 16) __asm__("" : "+v"(a), "+v"(b));
#endif
}
inline float value(float x) {
  return x;
}
inline float value(BFloat16 x) {
  return x.to_float();
}

// Four lanes at a time: one after the other they would wait for each other.
inline float sum_of(Lanes v) {
  typedef float Four __attribute__((vector_size(16), may_alias));
  const Four* parts = reinterpret_cast<const Four*>(&v);
  Four sum = parts[0];
  for (int i = 1; i < kLanes / 4; ++i) sum += parts[i];
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

// Cephes' expf: x = n ln 2 + r, a polynomial of degree 6 in r, times 2^n.
inline Lanes exponential(Lanes x) {
  const Lanes round = all(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  x = x < -87.f ? all(-87.f) : x;
  x = x > 88.f ? all(88.f) : x;
  const Lanes shifted = x * 1.44269504088896341f + round;
  const Lanes n = shifted - round;
  const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  const Ints power = (reinterpret_cast<Ints>(shifted) - reinterpret_cast<Ints>(round) + 127) << 23;
  return p * reinterpret_cast<Lanes>(power);
}

// `body(j, load, store)` over whole vectors, then once over the rest through padded copies.
template <int kInputs, int kOutputs, typename Body>
inline void for_lanes(std::int64_t count, const float* const (&in)[kInputs],
                      float* const (&out)[kOutputs], const Body& body) {
  Lanes a[kInputs], b[kOutputs];
  std::int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (int i = 0; i < kInputs; ++i) a[i] = load(in[i] + j);
    body(a, b);
    for (int i = 0; i < kOutputs; ++i) store(out[i] + j, b[i]);
  }
  if (j == count) return;
  const std::int64_t rest = count - j;
  for (int i = 0; i < kInputs; ++i) {
    a[i] = Lanes{};
    for (std::int64_t k = 0; k < rest; ++k) a[i][k] = in[i][j + k];
  }
  body(a, b);
  for (int i = 0; i < kOutputs; ++i) {
    for (std::int64_t k = 0; k < rest; ++k) out[i][j + k] = b[i][k];
  }
}
