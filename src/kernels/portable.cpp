#include "portable.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "layout.h"
#include "trellis.h"

namespace qloft::kernels::portable {
namespace {

void pack_group(const std::uint8_t* codes, int bits, std::uint8_t* out) {
  const Planes planes = planes_of(bits);
  if (planes.eight) {
    std::copy(codes, codes + kGroup, out);
    return;
  }
  std::fill(out, out + 4 * bits, std::uint8_t{0});
  const auto put = [](std::uint8_t* plane, Field f, int value) {
    plane[f.byte] = static_cast<std::uint8_t>(plane[f.byte] | (value << f.shift));
  };
  for (int e = 0; e < kGroup; ++e) {
    int code = codes[e];
    std::uint8_t* plane = out;
    if (planes.four) {
      put(plane, four_field(e), code & 15);
      plane += 16;
      code >>= 4;
    }
    if (planes.two) {
      put(plane, two_field(e), code & 3);
      plane += 8;
      code >>= 2;
    }
    if (planes.one) put(plane, one_field(e), code & 1);
  }
}

void unpack_group(const std::uint8_t* in, int bits, std::uint8_t* codes) {
  const Planes planes = planes_of(bits);
  if (planes.eight) {
    std::copy(in, in + kGroup, codes);
    return;
  }
  for (int e = 0; e < kGroup; ++e) {
    const std::uint8_t* plane = in;
    int code = 0;
    int shift = 0;
    if (planes.four) {
      const Field f = four_field(e);
      code = (plane[f.byte] >> f.shift) & 15;
      plane += 16;
      shift = 4;
    }
    if (planes.two) {
      const Field f = two_field(e);
      code |= ((plane[f.byte] >> f.shift) & 3) << shift;
      plane += 8;
      shift += 2;
    }
    if (planes.one) {
      const Field f = one_field(e);
      code |= ((plane[f.byte] >> f.shift) & 1) << shift;
    }
    codes[e] = static_cast<std::uint8_t>(code);
  }
}

// The gain (sum c x)^2 / sum c^2 of the codes nearest to x * inverse, and the scale that has it.
struct Fit {
  float gain = -1;
  float scale = 0;
};

Fit fit_at(const CodeValues& book, const float* x, std::int64_t count, float inverse) {
  float cx[kFitLanes] = {};
  float cc[kFitLanes] = {};
  for (std::int64_t first = 0; first < count; first += kFitLanes) {
    const std::int64_t left = std::min<std::int64_t>(kFitLanes, count - first);
    std::uint8_t codes[kFitLanes];
    encode(book, x + first, left, 0.f, inverse, codes);
    for (std::int64_t lane = 0; lane < left; ++lane) {
      const float c = book.values[codes[lane]];
      cx[lane] += c * x[first + lane];
      cc[lane] += c * c;
    }
  }
  const float sum_cx = sum_of(cx);
  const float sum_cc = sum_of(cc);
  if (!(sum_cx > 0) || !(sum_cc > 0)) return {};
  const float scale = sum_cx / sum_cc;
  return {scale * sum_cx, scale};
}

// The group that holds element `e` as 32 floats, scaled; `e` is a multiple of 32.
void decode_group(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                  std::int64_t e, float* out) {
  std::uint8_t codes[kGroup];
  const std::int64_t left = std::min(kGroup, columns - e);
  if (row.windows != nullptr) {
    for (std::int64_t i = 0; i < left; ++i) {
      out[i] = book.values[value_index(row.windows[e + i], book.multiplier)] *
               row.scales[(e + i) / row.block];
    }
    return;
  }
  const std::uint8_t* packed = row.codes + e / kGroup * 4 * book.bits;
  if (left == kGroup) {
    unpack_group(packed, book.bits, codes);
  } else {
    unpack_tail(packed, static_cast<int>(left), book.bits, codes);
  }
  for (std::int64_t i = 0; i < left; ++i) {
    const std::int64_t b = (e + i) / row.block;
    const float product = book.values[codes[i]] * row.scales[b];
    out[i] = row.offsets != nullptr ? product + row.offsets[b] : product;
  }
}

}  // namespace

float absmax(const float* x, std::int64_t count) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu);
  }
  return std::bit_cast<float>(largest);
}

void minmax(const float* x, std::int64_t count, float* smallest, float* largest) {
  float low = x[0];
  float high = x[0];
  for (std::int64_t i = 1; i < count; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  *smallest = low + 0.f;  // of zeros the positive one
  *largest = high + 0.f;
}

void encode(const CodeValues& book, const float* x, std::int64_t count, float offset, float inverse,
            std::uint8_t* codes) {
  int top = 1;
  while (2 * top < book.levels) top *= 2;
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = (x[i] - offset) * inverse;
    // A binary search without branches over thresholds that end in infinities.
    int code = 0;
    for (int step = top; step > 0; step /= 2) {
      code += v > book.thresholds[code + step - 1] ? step : 0;
    }
    codes[i] = static_cast<std::uint8_t>(code);
  }
}

float fit_scale(const CodeValues& book, const float* x, std::int64_t count, float absmax_of_x) {
  const ScaleGrid grid = scale_grid(book, x, count, absmax_of_x);
  Fit best;
  float candidate = absmax_of_x;
  for (int k = 0; k < grid.candidates; ++k, candidate *= grid.ratio) {
    const Fit fit = fit_at(book, x, count, inverse_of(candidate));
    if (fit.gain > best.gain) best = fit;
  }
  if (best.gain < 0) return absmax_of_x;
  for (int k = 0; k < kScaleRefinements; ++k) {
    const Fit fit = fit_at(book, x, count, inverse_of(best.scale));
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best.scale;
}

void pack_tail(const std::uint8_t* codes, int count, int bits, std::uint8_t* packed) {
  std::uint32_t window = 0;
  int filled = 0;
  for (int i = 0; i < count; ++i) {
    window |= static_cast<std::uint32_t>(codes[i]) << filled;
    for (filled += bits; filled >= 8; filled -= 8) {
      *packed++ = static_cast<std::uint8_t>(window);
      window >>= 8;
    }
  }
  if (filled > 0) *packed = static_cast<std::uint8_t>(window);
}

void unpack_tail(const std::uint8_t* packed, int count, int bits, std::uint8_t* codes) {
  std::uint32_t window = 0;
  int filled = 0;
  for (int i = 0; i < count; ++i) {
    if (filled < bits) {
      window |= static_cast<std::uint32_t>(*packed++) << filled;
      filled += 8;
    }
    codes[i] = static_cast<std::uint8_t>(window & ((1u << bits) - 1u));
    window >>= bits;
    filled -= bits;
  }
}

void pack(const std::uint8_t* codes, std::int64_t count, int bits, std::uint8_t* packed) {
  for (; count >= kGroup; count -= kGroup, codes += kGroup, packed += 4 * bits) {
    pack_group(codes, bits, packed);
  }
  pack_tail(codes, static_cast<int>(count), bits, packed);
}

void unpack(const std::uint8_t* packed, std::int64_t count, int bits, std::uint8_t* codes) {
  for (; count >= kGroup; count -= kGroup, codes += kGroup, packed += 4 * bits) {
    unpack_group(packed, bits, codes);
  }
  unpack_tail(packed, static_cast<int>(count), bits, codes);
}

void decode_scales(const CodeValues& book, const std::uint8_t* codes, std::int64_t count,
                   float scale, float offset, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = book.values[codes[i]];
  for (std::int64_t i = 0; i < count; ++i) out[i] = out[i] * scale + offset;
}

void decode_f32(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                std::int64_t first, std::int64_t count, float* out) {
  float group[kGroup];
  for (std::int64_t done = 0; done < count; done += kGroup) {
    decode_group(book, row, columns, first + done, group);
    std::copy(group, group + std::min(kGroup, count - done), out + done);
  }
}

void decode_bf16(const CodeValues& book, const PackedRow& row, std::int64_t columns,
                 std::int64_t first, std::int64_t count, BFloat16* out) {
  float group[kGroup];
  for (std::int64_t done = 0; done < count; done += kGroup) {
    decode_group(book, row, columns, first + done, group);
    f32_to_bf16(group, std::min(kGroup, count - done), out + done);
  }
}

void prepare_activations(const CodeValues& /*book*/, const float* x, std::int64_t columns,
                         std::int16_t* fixed, float* fixed_scales, float* sums) {
  for (std::int64_t e = 0; sums != nullptr && e < columns; e += 16) {
    float sum = 0;
    for (std::int64_t i = e; i < std::min(e + 16, columns); ++i) sum += x[i];
    sums[e / 16] = sum;
  }
  for (std::int64_t g = 0; fixed != nullptr && g < columns / kGroup; ++g) {
    const float* group = x + g * kGroup;
    const float largest = absmax(group, kGroup);
    const float inverse = largest > 0 ? kFixedActivation / largest : 0.f;
    for (int i = 0; i < kGroup; ++i) {
      fixed[g * kGroup + i] = static_cast<std::int16_t>(std::lrint(group[i] * inverse));
    }
    fixed_scales[g] = largest / kFixedActivation;
  }
}

float dot_tail(const CodeValues& book, const PackedRow& row, const Activations& x, std::int64_t i,
               std::int64_t first) {
  if (first >= x.columns) return 0;
  PackedRow scaled = row;
  scaled.offsets = nullptr;
  float values[kGroup];
  decode_group(book, scaled, x.columns, first, values);
  float sum = 0;
  for (std::int64_t e = first; e < x.columns; ++e) sum += values[e - first] * x.x[i * x.stride + e];
  return sum;
}

float dot_offsets(const PackedRow& row, const Activations& x, std::int64_t i) {
  if (row.offsets == nullptr) return 0;
  const std::int64_t sixteens = (x.columns + 15) / 16;
  float sum = 0;
  for (std::int64_t k = 0; k < sixteens; ++k) {
    sum += row.offsets[k * 16 / row.block] * x.sums[i * sixteens + k];
  }
  return sum;
}

void dot(const CodeValues& book, const PackedRow* rows, std::int64_t count, const Activations& x,
         float* y, std::int64_t y_stride) {
  float values[kGroup];
  for (std::int64_t r = 0; r < count; ++r, ++y) {
    PackedRow scaled = rows[r];
    scaled.offsets = nullptr;
    for (std::int64_t i = 0; i < x.rows; ++i) y[i * y_stride] = dot_offsets(rows[r], x, i);
    for (std::int64_t e = 0; e < x.columns; e += kGroup) {
      decode_group(book, scaled, x.columns, e, values);
      const std::int64_t width = std::min(kGroup, x.columns - e);
      for (std::int64_t i = 0; i < x.rows; ++i) {
        float sum = 0;
        for (std::int64_t k = 0; k < width; ++k) sum += values[k] * x.x[i * x.stride + e + k];
        y[i * y_stride] += sum;
      }
    }
  }
}

void add_rows(const float* w, std::int64_t stride, std::int64_t rows, const float* p,
              std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < rows; ++i, w += stride) {
    for (std::int64_t j = 0; j < count; ++j) y[j] += p[i] * w[j];
  }
}

void bf16_to_f32(const BFloat16* x, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = x[i].to_float();
}

void f32_to_bf16(const float* x, std::int64_t count, BFloat16* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = BFloat16::from_float(x[i]);
}

}  // namespace qloft::kernels::portable
