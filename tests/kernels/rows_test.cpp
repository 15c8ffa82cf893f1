// Decoding and products of packed rows: every instruction set against the definition.

#include "support.h"

namespace qloft::kernels {
namespace {

const std::vector<std::int64_t> kLengths = {1,  7,  15, 16, 31,  32,  33,  47,  48,  63,  64,
                                            65, 95, 96, 97, 128, 160, 200, 512, 551, 1090};

TEST(Kernels, DecodeGivesScaleTimesValueToTheBit) {
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (const std::int64_t columns : kLengths) {
        for (const std::int64_t block : {16, 48, 64, 4096}) {
          const bool offsets = columns % 2 == 0;
          const SampleRow sample(bits, columns, block, offsets, static_cast<int>(columns % 4));
          std::vector<float> out(static_cast<std::size_t>(columns) + 1, -77.f);
          std::vector<BFloat16> half(static_cast<std::size_t>(columns) + 1, {0x1234});
          table_of(set).decode_f32(sample.book, sample.row, columns, 0, columns, out.data());
          table_of(set).decode_bf16(sample.book, sample.row, columns, 0, columns, half.data());
          for (std::int64_t j = 0; j < columns; ++j) {
            const auto at = static_cast<std::size_t>(j);
            ASSERT_EQ(out[at], sample.value(j)) << name(set) << " bits " << bits << " columns "
                                                << columns << " block " << block << " at " << j;
            ASSERT_EQ(half[at].bits, BFloat16::from_float(sample.value(j)).bits);
          }
          EXPECT_EQ(out.back(), -77.f) << "wrote past the end";
          EXPECT_EQ(half.back().bits, 0x1234) << "wrote past the end";
        }
      }
    }
  }
}

TEST(Kernels, DecodeBeginsAtAnyGroupAndEndsAnywhere) {
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (const std::int64_t block : {16, 48, 64, 80}) {
        const SampleRow sample(bits, 200, block, false, 1);
        for (std::int64_t first = 0; first < 200; first += 32) {
          for (std::int64_t count = 0; first + count <= 200; count += 9) {
            std::vector<float> out(static_cast<std::size_t>(count));
            table_of(set).decode_f32(sample.book, sample.row, 200, first, count, out.data());
            for (std::int64_t j = 0; j < count; ++j) {
              ASSERT_EQ(out[static_cast<std::size_t>(j)], sample.value(first + j))
                  << name(set) << " bits " << bits << " first " << first << " count " << count;
            }
          }
        }
      }
    }
  }
}

constexpr std::int64_t kCopies = 5;

struct Product {
  std::vector<float> y;
  std::vector<double> exact;
  std::vector<double> norms;  // |x| |q|
};

Product product(InstructionSet set, const SampleRow& sample, std::int64_t columns,
                std::int64_t rows, bool fixed) {
  const std::int64_t stride = columns + 3;
  const std::vector<float> x = normal(rows * stride, 21);
  const std::int64_t fixed_stride = fixed_columns(columns);
  const std::int64_t sixteens = (columns + 15) / 16;
  std::vector<std::int16_t> values(static_cast<std::size_t>(rows * fixed_stride));
  std::vector<float> scales(static_cast<std::size_t>(rows * fixed_stride / kGroup));
  std::vector<float> sums(static_cast<std::size_t>(rows * sixteens));
  for (std::int64_t i = 0; i < rows; ++i) {
    table_of(set).prepare_activations(sample.book, x.data() + i * stride, columns,
                                      fixed ? values.data() + i * fixed_stride : nullptr,
                                      fixed ? scales.data() + i * fixed_stride / kGroup : nullptr,
                                      sums.data() + i * sixteens);
  }
  const Activations activations = {x.data(),
                                   stride,
                                   fixed ? values.data() : nullptr,
                                   fixed ? scales.data() : nullptr,
                                   sums.data(),
                                   rows,
                                   columns};
  Product out;
  // The same row five times: more than any kernel takes at once.
  const std::vector<PackedRow> packed(kCopies, sample.row);
  std::vector<float> y(static_cast<std::size_t>(rows * kCopies));
  table_of(set).dot(sample.book, packed.data(), kCopies, activations, y.data(), kCopies);
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto first = y.begin() + i * kCopies;
    EXPECT_TRUE(std::equal(first + 1, first + kCopies, first)) << "copies of a row differ";
    out.y.push_back(*first);
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    double exact = 0;
    double xx = 0;
    double qq = 0;
    for (std::int64_t j = 0; j < columns; ++j) {
      const double xj = x[static_cast<std::size_t>(i * stride + j)];
      const double qj = sample.value(j);
      exact += xj * qj;
      xx += xj * xj;
      qq += qj * qj;
    }
    out.exact.push_back(exact);
    out.norms.push_back(std::sqrt(xx * qq));
  }
  return out;
}

TEST(Kernels, DotInF32IsExactToRounding) {
  for (const InstructionSet set : sets()) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (const std::int64_t columns : kLengths) {
        for (const std::int64_t rows : {1, 2, 3, 5, 8, 15}) {
          const SampleRow sample(bits, columns, columns % 3 == 0 ? 48 : 64, columns % 2 == 1, 1);
          const Product p = product(set, sample, columns, rows, false);
          for (std::size_t i = 0; i < p.exact.size(); ++i) {
            ASSERT_NEAR(p.y[i], p.exact[i], 2e-6 * p.norms[i] + 1e-6)
                << name(set) << " bits " << bits << " columns " << columns << " rows " << rows;
          }
        }
      }
    }
  }
}

TEST(Kernels, DotInFixedPointKeepsItsBound) {
  constexpr std::int64_t kBlocks[] = {16, 32, 64, 128};
  double worst = 0;
  for (const InstructionSet set : sets()) {
    for (const int bits : {1, 2, 3, 4, 8}) {
      for (const std::int64_t columns : kLengths) {
        for (const std::int64_t rows : {1, 2, 3, 6}) {
          const SampleRow sample(bits, columns, kBlocks[columns % 4], columns % 2 == 1, 1);
          if (!table_of(set).takes_fixed(sample.book)) continue;
          const Product p = product(set, sample, columns, rows, true);
          for (std::size_t i = 0; i < p.exact.size(); ++i) {
            const double error = std::abs(p.y[i] - p.exact[i]) / p.norms[i];
            ASSERT_LT(error, 1e-4) << name(set) << " bits " << bits << " columns " << columns;
            worst = std::max(worst, error);
          }
        }
      }
    }
  }
  RecordProperty("worst", std::to_string(worst));
}

TEST(Kernels, DotOfZeroActivationsIsZero) {
  for (const InstructionSet set : sets()) {
    const SampleRow sample(4, 64, 64, false, 0);
    const std::vector<float> x(64, 0.f);
    std::vector<std::int16_t> values(fixed_columns(64));
    std::vector<float> scales(fixed_columns(64) / kGroup);
    table_of(set).prepare_activations(sample.book, x.data(), 64, values.data(), scales.data(),
                                      nullptr);
    const Activations a = {x.data(), 64, values.data(), scales.data(), nullptr, 1, 64};
    float y = 1;
    table_of(set).dot(sample.book, &sample.row, 1, a, &y, 1);
    EXPECT_EQ(y, 0.f) << name(set);
  }
}

}  // namespace
}  // namespace qloft::kernels
