// On any row every instruction set gives what the portable kernels give: codes, packed bytes,
// decoded values and 8-bit blocks to the bit, sums within what the order of rounding explains.

#include "qloft/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "qloft/kernels/dense.h"
#include "qloft/kernels/int8.h"

namespace {

using namespace qloft;
using namespace qloft::kernels;

void expect(bool condition) {
  if (!condition) __builtin_trap();
}
template <typename T>
void expect_same(const std::vector<T>& a, const std::vector<T>& b) {
  expect(a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
void expect_near(double a, double b, double tolerance) {
  expect(std::abs(a - b) <= tolerance);
}

// The input from its beginning on, and round again when it ends.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint8_t next() { return data_[at_++ % size_]; }
  // Between 2^-16 and 2^15 in magnitude, or 0.
  float value() {
    const int low = next(), high = next();
    const int exponent = (high & 3) == 3 ? low % 16 - 8 : 0;
    return std::ldexp(static_cast<float>((high - 128) * 256 + low) / 256.f, exponent - 1);
  }
  std::vector<float> values(std::int64_t count) {
    std::vector<float> out(static_cast<std::size_t>(count));
    for (float& x : out) x = value();
    return out;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

struct Row {
  CodeValues book;
  std::int64_t columns = 0;
  std::vector<float> x, scales, offsets;
  std::vector<std::uint8_t> codes, packed;
  PackedRow row;
};

CodeValues book_of(Bytes& bytes, int bits, bool trellis) {
  const int levels = trellis ? kTrellisLevels : std::max(2, (1 << bits) - bytes.next() % 2);
  std::vector<float> values(static_cast<std::size_t>(levels));
  float sum = 0;
  for (float& value : values) value = sum += 1.f + static_cast<float>(bytes.next() % 16);
  for (float& value : values) value = 2.f * value / sum - 1.f;
  CodeValues book;
  int multiplier = 0;
  if (trellis) {
    const int odd = 2 * bytes.next() + 1;
    multiplier = odd % 4 == 1 ? odd + 1800 : odd << (6 - bits);  // a short window
  }
  prepare(book, values.data(), levels, bits, static_cast<std::uint16_t>(multiplier));
  return book;
}

Row make_row(Bytes& bytes, int bits, std::int64_t columns) {
  Row out;
  out.book = book_of(bytes, bits, false);
  out.columns = columns;
  const std::int64_t block = 16 * (1 + bytes.next() % 8);
  const bool offsets = bytes.next() % 2 == 1;
  out.x = bytes.values(columns);
  out.scales = bytes.values((columns + block - 1) / block);
  out.offsets = bytes.values((columns + block - 1) / block);
  out.codes.resize(out.x.size());
  for (auto& code : out.codes) {
    code = static_cast<std::uint8_t>(bytes.next() % out.book.codes());
  }
  out.packed.resize(static_cast<std::size_t>(packed_bytes(columns, bits)));
  table(InstructionSet::portable).pack(out.codes.data(), columns, bits, out.packed.data());
  out.row = {out.packed.data(), out.scales.data(), offsets ? out.offsets.data() : nullptr, block};
  return out;
}

double norm(const std::vector<float>& x) {
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

std::vector<float> decoded(const Table& t, const Row& r) {
  std::vector<float> out(r.x.size());
  t.decode_f32(r.book, r.row, r.columns, 0, r.columns, out.data());
  return out;
}

float dot(const Table& t, const Row& r, bool fixed) {
  const std::int64_t stride = fixed_columns(r.columns);
  std::vector<std::int16_t> values(static_cast<std::size_t>(stride));
  std::vector<float> scales(values.size() / kGroup);
  std::vector<float> sums(static_cast<std::size_t>((r.columns + 15) / 16));
  t.prepare_activations(r.book, r.x.data(), r.columns, fixed ? values.data() : nullptr,
                        fixed ? scales.data() : nullptr, sums.data());
  const Activations x = {r.x.data(),
                         r.columns,
                         fixed ? values.data() : nullptr,
                         fixed ? scales.data() : nullptr,
                         sums.data(),
                         1,
                         r.columns};
  float y = 0;
  t.dot(r.book, &r.row, 1, x, &y, 1);
  return y;
}

void check_rows(Bytes& bytes, const Table& t, const Table& plain, int bits, std::int64_t columns) {
  const Row r = make_row(bytes, bits, columns);
  expect(t.absmax(r.x.data(), columns) == plain.absmax(r.x.data(), columns));
  float ends[2][2];
  t.minmax(r.x.data(), columns, &ends[0][0], &ends[0][1]);
  plain.minmax(r.x.data(), columns, &ends[1][0], &ends[1][1]);
  expect(ends[0][0] == ends[1][0] && ends[0][1] == ends[1][1]);

  if (const float most = plain.absmax(r.x.data(), columns); most > 0) {
    expect(t.fit_scale(r.book, r.x.data(), columns, most) ==
           plain.fit_scale(r.book, r.x.data(), columns, most));
  }

  const float offset = bytes.value(), inverse = bytes.value();
  std::vector<std::uint8_t> a(r.x.size()), b(r.x.size());
  t.encode(r.book, r.x.data(), columns, offset, inverse, a.data());
  plain.encode(r.book, r.x.data(), columns, offset, inverse, b.data());
  expect_same(a, b);
  std::vector<std::uint8_t> packed(r.packed.size());
  t.pack(r.codes.data(), columns, bits, packed.data());
  expect_same(packed, r.packed);
  t.unpack(r.packed.data(), columns, bits, a.data());
  expect_same(a, r.codes);

  const std::vector<float> values = decoded(plain, r);
  expect_same(decoded(t, r), values);
  std::vector<BFloat16> half(r.x.size()), other(r.x.size());
  t.decode_bf16(r.book, r.row, columns, 0, columns, half.data());
  plain.decode_bf16(r.book, r.row, columns, 0, columns, other.data());
  expect_same(half, other);
  t.f32_to_bf16(r.x.data(), columns, half.data());
  plain.f32_to_bf16(r.x.data(), columns, other.data());
  expect_same(half, other);

  // An offset beside a large scale cancels: products are rounded against their parts.
  double largest = 0;
  for (std::size_t i = 0; i < r.scales.size(); ++i) {
    largest = std::max<double>(largest, std::abs(r.scales[i]));
    if (r.row.offsets != nullptr) largest = std::max<double>(largest, std::abs(r.offsets[i]));
  }
  const double size = 2 * largest * norm(r.x) * std::sqrt(static_cast<double>(columns));
  expect_near(dot(t, r, false), dot(plain, r, false), 4e-6 * size + 1e-6);
  if (t.takes_fixed(r.book)) {
    expect_near(dot(t, r, true), dot(plain, r, plain.takes_fixed(r.book)), 2e-4 * size + 1e-6);
  }
}

void check_trellis(Bytes& bytes, const Table& t, const Table& plain, int bits,
                   std::int64_t columns) {
  const CodeValues book = book_of(bytes, bits, true);
  std::vector<std::uint8_t> packed(static_cast<std::size_t>(packed_bytes(columns, bits)));
  std::vector<std::uint16_t> a(static_cast<std::size_t>(columns)), b(a);
  for (int row = 0; row < 3; ++row) {
    for (auto& byte : packed) byte = bytes.next();
    t.advance_windows(packed.data(), columns, bits, row == 0 ? nullptr : a.data(), a.data());
    plain.advance_windows(packed.data(), columns, bits, row == 0 ? nullptr : b.data(), b.data());
    expect_same(a, b);
  }
  const std::int64_t count = 1 + columns % 6;  // the search is slow
  const std::vector<float> x = bytes.values(count);
  std::vector<float> scales = bytes.values(count);
  for (float& scale : scales) scale = std::abs(scale) + 0.01f;
  std::vector<float> workspace(kSearchBytes / sizeof(float));
  std::vector<std::uint8_t> codes(x.size()), other(x.size());
  t.search(book, x.data(), scales.data(), count, workspace.data(), codes.data());
  plain.search(book, x.data(), scales.data(), count, workspace.data(), other.data());
  expect_same(codes, other);
}

void check_dense(Bytes& bytes, const DenseTable& t, const DenseTable& plain, std::int64_t columns) {
  const std::vector<float> w = bytes.values(2 * columns), x = bytes.values(columns);
  const double size = norm(w) * norm(x);
  float a[2], b[2];
  t.rows_dot_f32(w.data(), columns, 2, x.data(), 1, columns, a);
  plain.rows_dot_f32(w.data(), columns, 2, x.data(), 1, columns, b);
  for (int i = 0; i < 2; ++i) expect_near(a[i], b[i], 4e-6 * size + 1e-6);
  expect(t.largest(x.data(), columns) == plain.largest(x.data(), columns));

  std::vector<float> y = x, z = x;
  const float weights[2] = {bytes.value(), bytes.value()};
  t.add_weighted_rows(w.data(), columns, 2, weights, columns, y.data());
  plain.add_weighted_rows(w.data(), columns, 2, weights, columns, z.data());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double weighted = std::abs(weights[0]) + std::abs(weights[1]);
    expect_near(y[i], z[i], 1e-6 * (weighted * norm(w) + norm(x)));
  }

  y = z = x;
  const float most = plain.largest(x.data(), columns);
  const double sum = t.exponentials(y.data(), columns, most);
  expect_near(sum, plain.exponentials(z.data(), columns, most), 1e-5 * sum);
  for (std::size_t i = 0; i < y.size(); ++i) expect_near(y[i], z[i], 2e-5 * z[i] + 4e-38);
  y = z = x;
  std::vector<float> d(w.begin(), w.begin() + columns), e = d;
  t.softmax_gradient(y.data(), d.data(), columns, 0.5f, 0.5f * most, x[0]);
  plain.softmax_gradient(z.data(), e.data(), columns, 0.5f, 0.5f * most, x[0]);
  for (std::size_t i = 0; i < y.size(); ++i) {
    // Halves are exact, differences are rounded once.
    const double near = 2e-5 * z[i] + 4e-38;
    expect_near(y[i], z[i], near);
    expect_near(d[i], e[i], near * (2.0 * std::abs(w[i]) + 2.0 * std::abs(x[0])));
  }
  t.swiglu(x.data(), w.data(), columns, y.data());
  plain.swiglu(x.data(), w.data(), columns, z.data());
  for (std::size_t i = 0; i < y.size(); ++i) {
    expect_near(y[i], z[i], 2e-5 * std::abs(static_cast<double>(x[i]) * w[i]));
  }
}

void check_int8(Bytes& bytes, const Int8Table& t, const Int8Table& plain, std::int64_t columns) {
  const auto blocks = static_cast<std::size_t>((columns + kInt8Block - 1) / kInt8Block);
  const std::int64_t rows = 1 + bytes.next() % kInt8Rows;
  const std::vector<float> x = bytes.values(rows * columns), w = bytes.values(rows * columns);
  std::vector<Int8Activations> a(blocks), b(blocks);
  t.quantize_activations(x.data(), columns, rows, columns, a.data());
  plain.quantize_activations(x.data(), columns, rows, columns, b.data());
  expect_same(a, b);
  std::vector<Int8Weights> c(blocks), d(blocks);
  t.quantize_weights(w.data(), columns, rows, columns, c.data());
  plain.quantize_weights(w.data(), columns, rows, columns, d.data());
  expect_same(c, d);
  std::vector<float> y(kInt8Rows * kInt8Columns), z(y);
  t.multiply(a.data(), c.data(), std::ssize(a), y.data());
  plain.multiply(b.data(), d.data(), std::ssize(b), z.data());
  for (std::size_t i = 0; i < y.size(); ++i)
    expect_near(y[i], z[i], 4e-6 * norm(x) * norm(w) + 1e-6);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const int bits = 1 + data[0] % 8;
  const std::int64_t columns = 1 + (data[1] | (data[2] & 1) << 8);
  for (const InstructionSet set : supported_instruction_sets()) {
    if (set == InstructionSet::portable) continue;
    Bytes bytes(data + 3, size - 3);
    check_rows(bytes, table(set), table(InstructionSet::portable), bits, columns);
    check_trellis(bytes, table(set), table(InstructionSet::portable), 1 + bits % 4, columns);
    check_dense(bytes, dense_table(set), dense_table(InstructionSet::portable), columns);
    check_int8(bytes, int8_table(set), int8_table(InstructionSet::portable), columns);
  }
  return 0;
}
