// Trellis codes: windows, values, products and the search, every instruction set against the plain
// definition; and the scales of a second level.

#include <array>
#include <limits>

#include "support.h"

namespace qloft::kernels {
namespace {

constexpr int kBits[] = {1, 2, 3, 4};
constexpr std::int64_t kColumns[] = {1, 31, 32, 33, 64, 95, 160, 551};

// Of windows of 12 bits, or of the shorter ones that a multiplier allows (kernels.h).
constexpr std::uint16_t kLongWindows = 2551;
std::uint16_t short_windows(int bits) {
  return static_cast<std::uint16_t>(69 << (6 - bits));
}

CodeValues trellis_book(int bits, std::uint16_t multiplier = kLongWindows) {
  std::vector<float> values(64);
  for (int i = 0; i < 64; ++i) {
    const float t = (static_cast<float>(i) - 31.5f) / 31.5f;
    values[static_cast<std::size_t>(i)] = t * (0.6f + 0.4f * t * t);
  }
  CodeValues book;
  prepare(book, values.data(), 64, bits, multiplier);
  return book;
}

// The definition: a window is the last 12 bits of the codes down the column.
float value_below(const CodeValues& book, const std::vector<int>& codes) {
  unsigned window = 0;
  for (const int code : codes) window = window << book.bits | static_cast<unsigned>(code);
  return book.values[(window % 4096 * book.multiplier) % 4096 / 64];
}

// `rows` packed rows of random codes, and what they decode to.
struct Sample {
  Sample(int bits, std::int64_t rows, std::int64_t width, std::int64_t block = 32)
      : book(trellis_book(bits)), columns(width) {
    Random random(static_cast<std::uint64_t>(columns * 8 + bits));
    scales = normal((columns + block - 1) / block, 5);
    std::vector<std::vector<int>> above(static_cast<std::size_t>(columns));
    for (std::int64_t i = 0; i < rows; ++i) {
      std::vector<std::uint8_t> codes(static_cast<std::size_t>(columns));
      std::vector<float> decoded;
      for (std::size_t j = 0; j < codes.size(); ++j) {
        codes[j] = static_cast<std::uint8_t>(random.below(1u << bits));
        above[j].push_back(codes[j]);
        decoded.push_back(value_below(book, above[j]) *
                          scales[j / static_cast<std::size_t>(block)]);
      }
      packed.emplace_back(static_cast<std::size_t>(packed_bytes(columns, bits)));
      table(InstructionSet::portable).pack(codes.data(), columns, bits, packed.back().data());
      expected.push_back(decoded);
    }
    row.scales = scales.data();
    row.block = block;
  }
  // Leaves the last row's windows in `windows`.
  void advance(InstructionSet set) {
    windows.assign(static_cast<std::size_t>(columns), 0xffff);
    for (std::size_t i = 0; i < packed.size(); ++i) {
      table_of(set).advance_windows(packed[i].data(), columns, book.bits,
                                    i == 0 ? nullptr : windows.data(), windows.data());
    }
    row.windows = windows.data();
  }

  CodeValues book;
  std::int64_t columns;
  std::vector<float> scales;
  std::vector<std::vector<std::uint8_t>> packed;
  std::vector<std::vector<float>> expected;
  std::vector<std::uint16_t> windows;
  PackedRow row;
};

TEST(TrellisKernels, DecodeTheLastTwelveBitsOfTheCodesDownAColumn) {
  for (const InstructionSet set : sets()) {
    for (const int bits : kBits) {
      for (const std::int64_t columns : kColumns) {
        for (const std::int64_t rows : {1, 2, 13, 20}) {
          Sample sample(bits, rows, columns);
          sample.advance(set);
          std::vector<float> out(static_cast<std::size_t>(columns));
          std::vector<BFloat16> half(out.size());
          table_of(set).decode_f32(sample.book, sample.row, columns, 0, columns, out.data());
          table_of(set).decode_bf16(sample.book, sample.row, columns, 0, columns, half.data());
          ASSERT_EQ(out, sample.expected.back())
              << name(set) << " bits " << bits << " columns " << columns << " rows " << rows;
          for (std::size_t j = 0; j < out.size(); ++j) {
            ASSERT_EQ(half[j].bits, BFloat16::from_float(out[j]).bits);
          }
        }
      }
    }
  }
}

TEST(TrellisKernels, ProductsKeepTheBoundsOfPlainCodes) {
  for (const InstructionSet set : sets()) {
    for (const int bits : kBits) {
      for (const std::int64_t columns : kColumns) {
        for (const bool fixed : {false, true}) {  // which a table may leave unused
          for (const std::int64_t rows : {1, 3, 7}) {
            Sample sample(bits, 9, columns, columns % 2 == 0 ? 16 : 48);
            sample.advance(set);
            const std::vector<float> x = normal(rows * columns, 21);
            const std::int64_t stride = fixed_columns(columns);
            std::vector<std::int16_t> values(static_cast<std::size_t>(rows * stride));
            std::vector<float> scales(values.size() / kGroup);
            for (std::int64_t i = 0; fixed && i < rows; ++i) {
              table_of(set).prepare_activations(sample.book, x.data() + i * columns, columns,
                                                values.data() + i * stride,
                                                scales.data() + i * stride / kGroup, nullptr);
            }
            const Activations activations = {.x = x.data(),
                                             .stride = columns,
                                             .fixed = fixed ? values.data() : nullptr,
                                             .fixed_scales = fixed ? scales.data() : nullptr,
                                             .rows = rows,
                                             .columns = columns};
            const std::vector<PackedRow> copies(3, sample.row);
            std::vector<float> y(static_cast<std::size_t>(rows * 3));
            table_of(set).dot(sample.book, copies.data(), 3, activations, y.data(), 3);
            for (std::int64_t i = 0; i < rows; ++i) {
              double exact = 0, xx = 0, qq = 0;
              for (std::int64_t j = 0; j < columns; ++j) {
                const double xj = x[static_cast<std::size_t>(i * columns + j)];
                const double qj = sample.expected.back()[static_cast<std::size_t>(j)];
                exact += xj * qj;
                xx += xj * xj;
                qq += qj * qj;
              }
              const double bound = (fixed ? 1e-4 : 2e-6) * std::sqrt(xx * qq) + 1e-6;
              for (std::int64_t r = 0; r < 3; ++r) {
                ASSERT_NEAR(y[static_cast<std::size_t>(i * 3 + r)], exact, bound)
                    << name(set) << " bits " << bits << " columns " << columns << " fixed "
                    << fixed;
              }
            }
          }
        }
      }
    }
  }
}

// Rows one after another through the table's own windows, several at a call or one.
TEST(TrellisKernels, ProductsOfRowsInTurnKeepTheBoundsToo) {
  constexpr std::int64_t kRows = 15, kInputs = 6;
  for (const InstructionSet set : sets()) {
    for (const int bits : kBits) {
      for (const std::int64_t columns : kColumns) {
        for (const std::int64_t block : {16, 32, 64, 96}) {
          for (const std::int64_t inputs : {std::int64_t{1}, std::int64_t{2}, kInputs}) {
            Sample sample(bits, kRows, columns, block);
            const std::vector<float> x = normal(inputs * columns, 22);
            const std::int64_t stride = fixed_columns(columns);
            std::vector<std::int16_t> values(static_cast<std::size_t>(inputs * stride));
            std::vector<float> scales(values.size() / kGroup);
            for (std::int64_t i = 0; i < inputs; ++i) {
              table_of(set).prepare_activations(sample.book, x.data() + i * columns, columns,
                                                values.data() + i * stride,
                                                scales.data() + i * stride / kGroup, nullptr);
            }
            const Activations activations = {.x = x.data(),
                                             .stride = columns,
                                             .fixed = values.data(),
                                             .fixed_scales = scales.data(),
                                             .rows = inputs,
                                             .columns = columns};
            std::vector<PackedRow> rows(kRows, sample.row);
            for (std::size_t r = 0; r < kRows; ++r) rows[r].codes = sample.packed[r].data();
            std::vector<float> y(static_cast<std::size_t>(inputs * kRows));
            std::vector<std::uint16_t> windows(static_cast<std::size_t>(trellis_windows(columns)));
            for (std::int64_t r = 0, count = 1; r < kRows; r += count, count = 1 + r % 4) {
              count = std::min(count, kRows - r);
              table_of(set).dot_trellis(sample.book, rows.data() + r, count, activations,
                                        y.data() + r, kRows, windows.data());
            }
            for (std::int64_t i = 0; i < inputs; ++i) {
              for (std::int64_t r = 0; r < kRows; ++r) {
                double exact = 0, xx = 0, qq = 0;
                for (std::int64_t j = 0; j < columns; ++j) {
                  const double xj = x[static_cast<std::size_t>(i * columns + j)];
                  const double qj =
                      sample.expected[static_cast<std::size_t>(r)][static_cast<std::size_t>(j)];
                  exact += xj * qj;
                  xx += xj * xj;
                  qq += qj * qj;
                }
                ASSERT_NEAR(y[static_cast<std::size_t>(i * kRows + r)], exact,
                            1e-4 * std::sqrt(xx * qq) + 1e-6)
                    << name(set) << " bits " << bits << " columns " << columns << " block " << block
                    << " row " << r;
              }
            }
          }
        }
      }
    }
  }
}

double squared_error(const CodeValues& book, const std::vector<float>& x,
                     const std::vector<float>& scales, const std::vector<std::uint8_t>& codes) {
  double sum = 0;
  std::uint16_t window = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = x[i] - scales[i] * next_trellis_value(book, codes[i], window);
    sum += error * error;
  }
  return sum;
}

TEST(TrellisKernels, SearchFindsTheLeastErrorOfAllCodes) {
  constexpr std::size_t kRows = 4;
  const std::vector<float> x = normal(kRows, 8), scales = {1.f, 0.5f, 2.f, 1.5f};
  for (const InstructionSet set : sets()) {
    for (const int bits : {1, 2, 3}) {
      for (const std::uint16_t multiplier : {kLongWindows, short_windows(bits)}) {
        const CodeValues book = trellis_book(bits, multiplier);
        std::vector<float> workspace(kSearchBytes / sizeof(float));
        std::vector<std::uint8_t> codes(kRows), tried(kRows);
        table_of(set).search(book, x.data(), scales.data(), kRows, workspace.data(), codes.data());
        double least = std::numeric_limits<double>::infinity();
        for (unsigned all = 0; all < 1u << (bits * static_cast<int>(kRows)); ++all) {
          for (std::size_t i = 0; i < kRows; ++i) {
            tried[i] =
                static_cast<std::uint8_t>(all >> (static_cast<int>(i) * bits) & ((1u << bits) - 1));
          }
          least = std::min(least, squared_error(book, x, scales, tried));
        }
        EXPECT_NEAR(squared_error(book, x, scales, codes), least, 1e-6)
            << name(set) << bits << " multiplier " << multiplier;
      }
    }
  }
}

TEST(TrellisKernels, SearchChoosesTheSameCodesInEveryInstructionSet) {
  std::vector<float> workspace(kSearchBytes / sizeof(float));
  for (const int bits : kBits) {
    for (const std::uint16_t multiplier : {kLongWindows, short_windows(bits)}) {
      const CodeValues book = trellis_book(bits, multiplier);
      for (const std::int64_t count : {1, 5, 100, 256}) {
        const std::vector<float> x = normal(count, 9);
        std::vector<float> scales = normal(count, 10);
        for (float& scale : scales) scale = 1 + 0.2f * scale;
        std::vector<std::uint8_t> plain(static_cast<std::size_t>(count)), codes(plain.size());
        table(InstructionSet::portable)
            .search(book, x.data(), scales.data(), count, workspace.data(), plain.data());
        for (const InstructionSet set : sets()) {
          table_of(set).search(book, x.data(), scales.data(), count, workspace.data(),
                               codes.data());
          EXPECT_EQ(codes, plain) << name(set) << " bits " << bits << " count " << count
                                  << " multiplier " << multiplier;
        }
      }
    }
  }
}

TEST(TrellisKernels, ValuesOfAColumnAreThoseOfItsWindows) {
  for (const int bits : kBits) {
    for (const std::uint16_t multiplier : {kLongWindows, short_windows(bits)}) {
      const CodeValues book = trellis_book(bits, multiplier);
      for (const std::int64_t count : {1, 5, 33, 100, 256}) {
        Random random(6);
        const std::vector<float> scales = normal(count, 10);
        std::vector<std::uint8_t> codes(scales.size());
        std::vector<int> above;
        std::vector<float> expected, found(scales.size());
        for (std::size_t i = 0; i < codes.size(); ++i) {
          codes[i] = static_cast<std::uint8_t>(random.below(1u << bits));
          above.push_back(codes[i]);
          expected.push_back(scales[i] * value_below(book, above));
        }
        for (const InstructionSet set : sets()) {
          table_of(set).trellis_values(book, codes.data(), scales.data(), count, found.data());
          EXPECT_EQ(found, expected) << name(set) << " bits " << bits << " count " << count;
        }
      }
    }
  }
}

TEST(Kernels, AddRowsToTheBitsOfThePortableOnes) {
  constexpr std::int64_t kStride = 300;
  const std::vector<float> w = normal(7 * kStride, 3), p = normal(7, 4);
  for (const std::int64_t count : {0, 1, 7, 8, 16, 31, 64, 100, 128, 131, 300}) {
    for (const std::int64_t rows : {0, 1, 7}) {
      std::vector<float> expected = normal(count + 1, 5), plain = expected;
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < count; ++j) {
          const volatile float product =
              p[static_cast<std::size_t>(i)] * w[static_cast<std::size_t>(i * kStride + j)];
          expected[static_cast<std::size_t>(j)] += product;
        }
      }
      for (const InstructionSet set : sets()) {
        std::vector<float> found = plain;
        table_of(set).add_rows(w.data(), kStride, rows, p.data(), count, found.data());
        EXPECT_EQ(found, expected) << name(set) << " count " << count << " rows " << rows;
      }
    }
  }
}

TEST(Kernels, ScalesOfASecondLevelAreDecodedToTheBit) {
  for (const InstructionSet set : sets()) {
    for (const int bits : {2, 4, 6, 7, 8}) {
      const CodeValues book = uneven_book(bits);
      for (const std::int64_t count : {0, 1, 7, 8, 31, 32, 33, 64, 100, 192}) {
        Random random(4);
        std::vector<std::uint8_t> codes(static_cast<std::size_t>(count));
        for (auto& code : codes) code = static_cast<std::uint8_t>(random.below(1u << bits));
        std::vector<float> out(codes.size() + 1, -7.f);
        table_of(set).decode_scales(book, codes.data(), count, 0.37f, 0.011f, out.data());
        for (std::size_t i = 0; i < codes.size(); ++i) {
          const float product = book.values[codes[i]] * 0.37f;
          ASSERT_EQ(out[i], product + 0.011f) << name(set) << " bits " << bits << " at " << i;
        }
        EXPECT_EQ(out.back(), -7.f) << "wrote past the end";
      }
    }
  }
}

}  // namespace
}  // namespace qloft::kernels
