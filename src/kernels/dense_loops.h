// The loops of DenseTable, written once over GCC's vector types (dense_lanes.h, which each
// dense_<set>.cpp includes before this, in the same place).

// Rows whose sums run beside each other, so that loads of x are shared and latencies overlap.
constexpr int kRowsAtOnce = 4;

// The processor follows one stream of rows by itself, but not several beside each other. Into the
// second cache: few loads into the first may wait for memory at a time. Reaching beyond the end of
// memory does no harm.
constexpr int kRowsAhead = 8;
template <int kCount, typename T>
inline void fetch_ahead(const T* values) {
  constexpr int kLine = 64 / sizeof(T);
  for (int i = 0; i < kCount; i += kLine) __builtin_prefetch(values + i, 0, 2);
}

// y[k][i] = row i of w times row k of x; each sum in the same order whatever stands beside it.
template <int kRows, int kInputs, typename T>
inline void some_rows_dot(const T* w, std::int64_t stride, const float* x, std::int64_t x_stride,
                          std::int64_t count, float* y, std::int64_t y_stride) {
  Lanes sums[kInputs][kRows] = {};
  Lanes more[kInputs][kRows] = {};
  std::int64_t j = 0;
  for (; j + 2 * kLanes <= count; j += 2 * kLanes) {
    Lanes first[kInputs], second[kInputs];
    for (int k = 0; k < kInputs; ++k) {
      first[k] = load(x + k * x_stride + j);
      second[k] = load(x + k * x_stride + j + kLanes);
      if constexpr (kInputs > 1) keep(first[k], second[k]);
    }
    for (int i = 0; i < kRows; ++i) {
      if constexpr (kRows * kInputs > 1) fetch_ahead<2 * kLanes>(w + (kRowsAhead + i) * stride + j);
      const Lanes a = load(w + i * stride + j), b = load(w + i * stride + j + kLanes);
      for (int k = 0; k < kInputs; ++k) {
        sums[k][i] += a * first[k];
        more[k][i] += b * second[k];
      }
    }
  }
  for (int k = 0; k < kInputs; ++k) {
    for (int i = 0; i < kRows; ++i) {
      float sum = sum_of(sums[k][i] + more[k][i]);
      for (std::int64_t n = j; n < count; ++n)
        sum += value(w[i * stride + n]) * x[k * x_stride + n];
      y[k * y_stride + i] = sum;
    }
  }
}

template <int kRows, int kInputs, typename T>
inline void rows_dot(const T* w, std::int64_t stride, std::int64_t rows, const float* x,
                     std::int64_t x_stride, std::int64_t count, float* y, std::int64_t y_stride) {
  std::int64_t i = 0;
  for (; i + kRows <= rows; i += kRows) {
    some_rows_dot<kRows, kInputs>(w + i * stride, stride, x, x_stride, count, y + i, y_stride);
  }
  for (; i < rows; ++i) {
    some_rows_dot<1, kInputs>(w + i * stride, stride, x, x_stride, count, y + i, y_stride);
  }
}

// Inputs share what is loaded of w: four of them with two rows fill the registers of 16 lanes.
template <typename T>
inline void rows_dot_each(const T* w, std::int64_t stride, std::int64_t rows, const float* x,
                          std::int64_t inputs, std::int64_t count, float* y) {
  constexpr int kTogether = 4, kBeside = kLanes == 16 ? 2 : 1;
  std::int64_t k = 0;
  for (; k + kTogether <= inputs; k += kTogether) {
    rows_dot<kBeside, kTogether>(w, stride, rows, x + k * count, count, count, y + k * rows, rows);
  }
  for (; k + 2 <= inputs; k += 2) {
    rows_dot<2, 2>(w, stride, rows, x + k * count, count, count, y + k * rows, rows);
  }
  if (k < inputs)
    rows_dot<kRowsAtOnce, 1>(w, stride, rows, x + k * count, 0, count, y + k * rows, 0);
}

void rows_dot_f32(const float* w, std::int64_t stride, std::int64_t rows, const float* x,
                  std::int64_t inputs, std::int64_t count, float* y) {
  rows_dot_each(w, stride, rows, x, inputs, count, y);
}
void rows_dot_bf16(const BFloat16* w, std::int64_t stride, std::int64_t rows, const float* x,
                   std::int64_t inputs, std::int64_t count, float* y) {
  rows_dot_each(w, stride, rows, x, inputs, count, y);
}

void add_weighted_rows(const float* w, std::int64_t stride, std::int64_t rows, const float* p,
                       std::int64_t count, float* y) {
  // Sums beside each other, so that their latencies overlap.
  constexpr int kSums = 4;
  std::int64_t j = 0;
  for (; j + kSums * kLanes <= count; j += kSums * kLanes) {
    Lanes sums[kSums];
    for (int k = 0; k < kSums; ++k) sums[k] = load(y + j + k * kLanes);
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* row = w + i * stride + j;
      for (int k = 0; k < kSums; ++k) sums[k] += p[i] * load(row + k * kLanes);
    }
    for (int k = 0; k < kSums; ++k) store(y + j + k * kLanes, sums[k]);
  }
  for (; j + kLanes <= count; j += kLanes) {
    Lanes sum = load(y + j);
    for (std::int64_t i = 0; i < rows; ++i) sum += p[i] * load(w + i * stride + j);
    store(y + j, sum);
  }
  for (; j < count; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) y[j] += p[i] * w[i * stride + j];
  }
}

void add_squares(const float* x, std::int64_t rows, std::int64_t count, float* by_row,
                 float* by_column) {
  for (std::int64_t i = 0; i < rows; ++i, x += count) {
    Lanes sum = {};
    std::int64_t j = 0;
    for (; j + kLanes <= count; j += kLanes) {
      const Lanes square = load(x + j) * load(x + j);
      store(by_column + j, load(by_column + j) + square);
      sum += square;
    }
    float rest = sum_of(sum);
    for (; j < count; ++j) {
      by_column[j] += x[j] * x[j];
      rest += x[j] * x[j];
    }
    by_row[i] += rest;
  }
}

// Codes of [0, count), count <= kCodeBlock.
inline BFloat16 block_to_codes(const float* x, std::int64_t count, std::int8_t* codes) {
  float most = 0;
  bool numbers = true;
  std::int64_t j = 0;
  if (count >= kLanes) {
    Lanes top = {};
    Ints not_finite = {};
    for (; j + kLanes <= count; j += kLanes) {
      const Lanes v = load(x + j);
      const Lanes magnitude = v < 0 ? -v : v;
      top = magnitude > top ? magnitude : top;
      not_finite |= v - v != 0;
    }
    for (int i = 0; i < kLanes; ++i) {
      most = top[i] > most ? top[i] : most;
      numbers &= not_finite[i] == 0;
    }
  }
  for (; j < count; ++j) {
    const float magnitude = x[j] < 0 ? -x[j] : x[j];
    most = magnitude > most ? magnitude : most;
    numbers &= x[j] - x[j] == 0;
  }
  if (!numbers) {
    for (std::int64_t i = 0; i < count; ++i) codes[i] = 0;
    return BFloat16::from_float(std::numeric_limits<float>::quiet_NaN());
  }
  const BFloat16 scale = BFloat16::from_float(most / 127.f);
  const float divisor = scale.to_float() > 0 ? scale.to_float() : 1.f;
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to a whole number
  const Lanes divisors = all(divisor);
  for (j = 0; j + kLanes <= count; j += kLanes) {
    Lanes v = load(x + j) / divisors;
    v = v > 127.f ? all(127.f) : v;
    v = v < -127.f ? all(-127.f) : v;
    const Lanes shifted = v + kRound;
    const Ints whole = reinterpret_cast<Ints>(shifted) - reinterpret_cast<Ints>(all(kRound));
    *reinterpret_cast<Bytes*>(codes + j) = __builtin_convertvector(whole, Bytes);
  }
  for (; j < count; ++j) {
    float v = x[j] / divisor;
    v = v > 127.f ? 127.f : v;
    v = v < -127.f ? -127.f : v;
    const volatile float shifted = v + kRound;
    codes[j] = static_cast<std::int8_t>(shifted - kRound);
  }
  return scale;
}

void to_codes(const float* x, std::int64_t count, std::int8_t* codes, BFloat16* scales) {
  for (std::int64_t j = 0; j < count; j += kCodeBlock) {
    const std::int64_t block = count - j < kCodeBlock ? count - j : kCodeBlock;
    scales[j / kCodeBlock] = block_to_codes(x + j, block, codes + j);
  }
}

// Loops that the compiler turns into vectors: it would convert vectors of bytes one by one.
inline void block_from_codes(const std::int8_t* __restrict__ codes, float scale, std::int64_t count,
                             float* __restrict__ out) {
  if (count == kCodeBlock) {
    for (std::int64_t j = 0; j < kCodeBlock; ++j) out[j] = static_cast<float>(codes[j]) * scale;
  } else {
    for (std::int64_t j = 0; j < count; ++j) out[j] = static_cast<float>(codes[j]) * scale;
  }
}

void from_codes(const std::int8_t* codes, const BFloat16* scales, std::int64_t rows,
                std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < rows; ++i, codes += count, out += count) {
    for (std::int64_t j = 0; j < count; j += kCodeBlock) {
      const std::int64_t block = count - j < kCodeBlock ? count - j : kCodeBlock;
      block_from_codes(codes + j, (scales++)->to_float(), block, out + j);
    }
  }
}

// n is a power of two. Differences of each distance from half the block to 1.
inline void hadamard_block(float* x, std::int64_t n) {
  for (std::int64_t h = n / 2; h > 0; h /= 2) {
    for (std::int64_t i = 0; i < n; i += 2 * h) {
      float *a = x + i, *b = x + i + h;
      std::int64_t j = 0;
      for (; j + kLanes <= h; j += kLanes) {
        const Lanes u = load(a + j), v = load(b + j);
        store(a + j, u + v);
        store(b + j, u - v);
      }
      for (; j < h; ++j) {
        const float u = a[j], v = b[j];
        a[j] = u + v;
        b[j] = u - v;
      }
    }
  }
}

// body(block, n) for the blocks of each row that a Hadamard matrix is of.
template <typename Body>
inline void for_hadamard_blocks(float* x, std::int64_t rows, std::int64_t count, const Body& body) {
  for (std::int64_t i = 0; i < rows; ++i, x += count) {
    for (std::int64_t j = 0; j < count; j += kCodeBlock) {
      const std::int64_t n = count - j < kCodeBlock ? count - j : kCodeBlock;
      if ((n & (n - 1)) == 0) body(x + j, n);
    }
  }
}

void hadamard(float* x, std::int64_t rows, std::int64_t count) {
  for_hadamard_blocks(x, rows, count,
                      [](float* block, std::int64_t n) { hadamard_block(block, n); });
}

void inverse_hadamard(float* x, std::int64_t rows, std::int64_t count) {
  for_hadamard_blocks(x, rows, count, [](float* block, std::int64_t n) {
    hadamard_block(block, n);
    const float factor = 1.f / static_cast<float>(n);
    for (std::int64_t j = 0; j < n; ++j) block[j] *= factor;
  });
}

float largest(const float* x, std::int64_t count) {
  float most = -std::numeric_limits<float>::infinity();
  bool numbers = true;
  std::int64_t j = 0;
  if (count >= kLanes) {
    Lanes top = load(x);
    Ints not_a_number = top != top;
    for (j = kLanes; j + kLanes <= count; j += kLanes) {
      const Lanes next = load(x + j);
      top = next > top ? next : top;
      not_a_number |= next != next;
    }
    for (int i = 0; i < kLanes; ++i) {
      most = top[i] > most ? top[i] : most;
      numbers &= not_a_number[i] == 0;
    }
  }
  for (; j < count; ++j) {
    most = x[j] > most ? x[j] : most;
    numbers &= x[j] == x[j];
  }
  return numbers ? most : std::numeric_limits<float>::quiet_NaN();
}

float exponentials(float* x, std::int64_t count, float shift) {
  Lanes sum = {};
  std::int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    const Lanes e = exponential(load(x + j) - shift);
    store(x + j, e);
    sum += e;
  }
  float total = sum_of(sum);
  if (j < count) {
    Lanes rest = all(-87.f);
    for (std::int64_t k = j; k < count; ++k) rest[k - j] = x[k] - shift;
    rest = exponential(rest);
    for (std::int64_t k = j; k < count; ++k) total += x[k] = rest[k - j];
  }
  return total;
}

void softmax_gradient(float* p, float* d, std::int64_t count, float scale, float shift, float dot) {
  for_lanes<2, 2>(count, {p, d}, {p, d}, [=](const Lanes* a, Lanes* b) {
    b[0] = exponential(a[0] * scale - shift);
    b[1] = b[0] * (a[1] - dot);
  });
}

void swiglu(const float* g, const float* u, std::int64_t count, float* out) {
  for_lanes<2, 1>(count, {g, u}, {out}, [](const Lanes* a, Lanes* b) {
    b[0] = a[0] / (1.f + exponential(-a[0])) * a[1];
  });
}

void swiglu_gradient(const float* g, const float* u, const float* d, std::int64_t count, float* dg,
                     float* du) {
  for_lanes<3, 2>(count, {g, u, d}, {dg, du}, [](const Lanes* a, Lanes* b) {
    const Lanes s = 1.f / (1.f + exponential(-a[0]));
    b[0] = a[2] * a[1] * s * (1.f + a[0] * (1.f - s));
    b[1] = a[2] * a[0] * s;
  });
}

void gelu(const float* x, std::int64_t count, float* value, float* slope) {
  for_lanes<1, 2>(count, {x}, {value, slope}, [](const Lanes* a, Lanes* b) {
    const Lanes size = a[0] < 0.f ? -a[0] : a[0];
    const Lanes e = exponential(-0.5f * a[0] * a[0]);
    const Lanes t = 1.f / (1.f + 0.23164190f * size);
    Lanes p = all(0.530702716f);
    p = p * t - 0.726576014f;
    p = p * t + 0.710706871f;
    p = p * t - 0.142248368f;
    p = p * t + 0.127414796f;
    const Lanes above = p * t * e;  // of the distribution beyond |x|
    const Lanes phi = a[0] < 0.f ? above : 1.f - above;
    b[0] = a[0] * phi;
    b[1] = phi + a[0] * e * 0.398942280f;
  });
}

void gelu_tanh(const float* x, std::int64_t count, float* value, float* slope) {
  for_lanes<1, 2>(count, {x}, {value, slope}, [](const Lanes* a, Lanes* b) {
    const Lanes square = a[0] * a[0];
    // 0.5 (1 + tanh(z)) = 1 / (1 + e^(-2 z))
    const Lanes twice = a[0] * (1.59576912f + 0.0713548163f * square);
    const Lanes phi = 1.f / (1.f + exponential(-twice));
    b[0] = a[0] * phi;
    b[1] = phi + a[0] * phi * (1.f - phi) * (1.59576912f + 0.214064449f * square);
  });
}

constexpr DenseTable table_of(InstructionSet set) {
  return {
      .set = set,
      .rows_dot_f32 = rows_dot_f32,
      .rows_dot_bf16 = rows_dot_bf16,
      .add_weighted_rows = add_weighted_rows,
      .add_squares = add_squares,
      .to_codes = to_codes,
      .from_codes = from_codes,
      .hadamard = hadamard,
      .inverse_hadamard = inverse_hadamard,
      .largest = largest,
      .exponentials = exponentials,
      .softmax_gradient = softmax_gradient,
      .swiglu = swiglu,
      .swiglu_gradient = swiglu_gradient,
      .gelu = gelu,
      .gelu_tanh = gelu_tanh,
  };
}
