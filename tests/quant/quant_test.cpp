// Quantizing and reading back: errors within two-sided bounds, ragged shapes, products.

#include "qloft/quant.h"

#include <algorithm>
#include <limits>

#include "qloft/core/error.h"
#include "qloft/core/threads.h"
#include "support.h"

namespace qloft::quant {
namespace {

// Relative errors on normal weights, block 64, f32 scales. The nf rows at absmax are those that
// were measured on the weights of a trained model: 0.5624, 0.2017, 0.0921.
TEST(Quantize, ErrorOnNormalWeightsIsThatOfTheCodeBook) {
  struct Row {
    int bits;
    Codebook codebook;
    ScaleRule rule;
    double low, high;
  };
  constexpr auto kAbsmax = ScaleRule::absmax;
  constexpr auto kMse = ScaleRule::mse;
  const std::vector<Row> rows = {
      {2, Codebook::nf, kAbsmax, 0.555, 0.570},
      {3, Codebook::nf, kAbsmax, 0.199, 0.204},
      {4, Codebook::nf, kAbsmax, 0.0910, 0.0932},
      {8, Codebook::nf, kAbsmax, 0.0050, 0.0058},
      {2, Codebook::nf, kMse, 0.370, 0.385},
      {2, Codebook::lloyd, kAbsmax, 0.340, 0.348},
      {2, Codebook::lloyd, kMse, 0.328, 0.338},
      {3, Codebook::lloyd, kMse, 0.167, 0.175},
      {4, Codebook::lloyd, kMse, 0.081, 0.085},
      {1, Codebook::binary, kMse, 0.590, 0.605},
      {2, Codebook::ternary, kMse, 0.42, 0.44},
      {2, Codebook::residual_binary, kMse, 0.328, 0.345},
      {2, Codebook::uniform, kMse, 0.330, 0.343},
      {2, Codebook::uniform_asymmetric, kMse, 0.315, 0.33},
  };
  const Matrix w = normal(64, 1024);
  for (const Row& row : rows) {
    const Format f = format(row.bits, row.codebook, row.rule);
    const double error = relative_error(w, f);
    EXPECT_GT(error, row.low) << f.describe();
    EXPECT_LT(error, row.high) << f.describe();
  }
}

// Block 128: the scale itself explains some of a short block. Rate-distortion theory allows 0.5,
// 0.25, 0.125 and 0.0625 of infinitely long codes.
TEST(Quantize, ErrorOfATrellisCodeIsBelowThatOfScalarOnes) {
  const Matrix w = normal(512, 256);
  constexpr double kLong[] = {0.532, 0.272, 0.139, 0.080}, kShort[] = {0.546, 0.279, 0.143, 0.080},
                   kLloyd[] = {0.60, 0.335, 0.17, 0.083};
  for (const auto& [codebook, expected] :
       {std::pair(Codebook::trellis, kLong), std::pair(Codebook::trellis_short, kShort)}) {
    for (int bits = 1; bits <= 4; ++bits) {
      const double error = relative_error(w, format(bits, codebook, ScaleRule::mse, 128));
      EXPECT_NEAR(error, expected[bits - 1], 0.005) << name(codebook) << bits;
      EXPECT_LT(error, kLloyd[bits - 1]) << name(codebook) << bits;
    }
  }
}

TEST(Quantize, EveryFormatTakesEveryRaggedShape) {
  for (const Format& base : all_formats()) {
    for (const std::int64_t block : {0, 16, 64, 4096}) {
      for (const std::int64_t columns : {1, 15, 31, 33, 70, 128}) {
        Format f = base;
        f.block = block;
        f.scale_rule = ScaleRule::mse;
        const Matrix w = normal(3, columns);
        const PackedMatrix packed = quantize(w.view(), f);
        EXPECT_TRUE(is_valid(packed));
        EXPECT_LT(relative_error(w, dequantized(packed)), 1.0) << f.describe() << " " << columns;
        EXPECT_DOUBLE_EQ(
            f.bits_per_weight(3, columns),
            8.0 * static_cast<double>(packed.stored_bytes()) / static_cast<double>(3 * columns));
      }
    }
  }
}

TEST(Quantize, EmptyMatricesStayEmpty) {
  for (const auto& [rows, columns] : {std::pair{0, 64}, {3, 0}, {0, 0}}) {
    const Matrix w(rows, columns);
    const PackedMatrix packed = quantize(w.view(), Format());
    EXPECT_EQ(packed.rows(), rows);
    EXPECT_EQ(packed.stored_bytes(), 0u);
  }
}

TEST(Quantize, AllZeroWeightsComeBackAsZero) {
  for (Format f : all_formats()) {
    for (const auto rule : {ScaleRule::absmax, ScaleRule::mse}) {
      if (!takes(f.codebook, rule)) continue;
      f.scale_rule = rule;
      const Matrix w(2, 70);
      const Matrix q = dequantized(quantize(w.view(), f));
      for (const float value : q.values()) EXPECT_EQ(value, 0.f) << f.describe();
    }
  }
}

TEST(Quantize, RefusesWhatIsNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Matrix w = normal(4, 100);
    w(2, 99) = bad;
    EXPECT_THROW(quantize(w.view(), Format()), InputError);
  }
}

TEST(Quantize, DoesNotDependOnTheNumberOfThreads) {
  const Matrix w = normal(50, 4096);
  const Format f = format(3, Codebook::lloyd, ScaleRule::mse);
  const int threads = thread_count();
  set_thread_count(1);
  const PackedMatrix one = quantize(w.view(), f);
  set_thread_count(4);
  const PackedMatrix four = quantize(w.view(), f);
  set_thread_count(threads);
  for (std::size_t p = 0; p < one.parts().size(); ++p) {
    EXPECT_TRUE(std::equal(one.bytes(p).begin(), one.bytes(p).end(), four.bytes(p).begin()));
  }
}

TEST(Dequantize, TilesAreCutOutOfTheWhole) {
  const Matrix w = normal(6, 200);
  for (const Format& f : all_formats()) {
    const PackedMatrix packed = quantize(w.view(), f);
    const Matrix whole = dequantized(packed);
    Matrix tile(2, 70);
    dequantize_tile(packed, tile.view(), 3, 96);
    for (std::int64_t i = 0; i < 2; ++i) {
      for (std::int64_t j = 0; j < 70; ++j) EXPECT_EQ(tile(i, j), whole(3 + i, 96 + j));
    }
  }
}

TEST(Quantize, RefusesATrellisCodeScaledByTheLargest) {
  EXPECT_THROW(format(2, Codebook::trellis, ScaleRule::absmax).validate(), InputError);
}

TEST(Dequantize, RowsOfATrellisCodeAreReadAloneInAnyOrder) {
  const Matrix w = normal(300, 70);
  for (int bits = 1; bits <= 4; ++bits) {
    const PackedMatrix packed = quantize(w.view(), format(bits, Codebook::trellis, ScaleRule::mse));
    const Matrix whole = dequantized(packed);
    for (const std::int64_t row : {299, 0, 256, 255, 7, 257, 258, 100}) {
      Matrix alone(1, 70);
      dequantize(packed, alone.view(), row);
      for (std::int64_t j = 0; j < 70; ++j) ASSERT_EQ(alone(0, j), whole(row, j)) << row;
    }
  }
}

TEST(Dequantize, Bf16IsF32Rounded) {
  const Matrix w = normal(3, 70);
  const PackedMatrix packed = quantize(w.view(), Format());
  const Matrix whole = dequantized(packed);
  std::vector<BFloat16> half(2 * 70);
  dequantize(packed, MatrixView<BFloat16>(half.data(), 2, 70), 1);
  for (std::int64_t j = 0; j < 70; ++j) {
    EXPECT_EQ(half[static_cast<std::size_t>(70 + j)].bits, BFloat16::from_float(whole(2, j)).bits);
  }
}

TEST(Dequantize, RefusesRangesThatLieOutside) {
  const PackedMatrix packed = quantize(normal(4, 64).view(), Format());
  Matrix out(3, 64);
  EXPECT_THROW(dequantize(packed, out.view(), 2), InputError);
  EXPECT_THROW(dequantize(packed, out.view(), -1), InputError);
  Matrix narrow(1, 32);
  EXPECT_THROW(dequantize(packed, narrow.view()), InputError);
  EXPECT_THROW(dequantize_tile(packed, narrow.view(), 0, 16), InputError);
  EXPECT_THROW(dequantize_tile(packed, narrow.view(), 0, 64), InputError);
}

TEST(MultiplyTransposed, AgreesWithTheDequantizedProduct) {
  const Matrix w = normal(5, 200);
  for (const Format& f : all_formats()) {
    const PackedMatrix packed = quantize(w.view(), f);
    const Matrix q = dequantized(packed);
    for (const std::int64_t n : {0, 1, 2, 3, 16}) {
      const Matrix x = normal(n, 200, 3);
      Matrix y(n, 5);
      multiply_transposed(x.view(), packed, y.view());
      for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t r = 0; r < 5; ++r) {
          double exact = 0;
          double xx = 0;
          double qq = 0;
          for (std::int64_t j = 0; j < 200; ++j) {
            exact += static_cast<double>(x(i, j)) * q(r, j);
            xx += static_cast<double>(x(i, j)) * x(i, j);
            qq += static_cast<double>(q(r, j)) * q(r, j);
          }
          EXPECT_NEAR(y(i, r), exact, 1e-4 * std::sqrt(xx * qq)) << f.describe() << " n " << n;
        }
      }
    }
  }
}

TEST(MultiplyTransposed, TogetherGivesWhatOneByOneGives) {
  const Matrix x = normal(2, 200, 3);
  std::vector<PackedMatrix> packed;
  std::int64_t rows = 3;
  for (const Format& f : all_formats()) packed.push_back(quantize(normal(rows++, 200).view(), f));
  std::vector<Matrix> together;
  std::vector<Product> products;
  for (const PackedMatrix& q : packed) together.emplace_back(2, q.rows());
  for (std::size_t i = 0; i < packed.size(); ++i) {
    products.push_back({&packed[i], x.view(), together[i].view()});
  }
  multiply_transposed(products);
  for (std::size_t i = 0; i < packed.size(); ++i) {
    Matrix alone(2, packed[i].rows());
    multiply_transposed(x.view(), packed[i], alone.view());
    EXPECT_TRUE(std::ranges::equal(together[i].values(), alone.values()))
        << packed[i].format().describe();
  }
}

TEST(MultiplyTransposed, AddsToWhatIsThere) {
  Format format;
  format.bits = 8;
  const PackedMatrix packed = quantize(normal(70, 96).view(), format);
  const Matrix x = normal(3, 96, 3), before = normal(3, 70, 4);
  Matrix alone(3, 70), sum = before;
  const Product product{&packed, x.view(), sum.view(), /*add=*/true};
  multiply_transposed(x.view(), packed, alone.view());
  multiply_transposed({&product, 1});
  for (std::int64_t i = 0; i < sum.size(); ++i) {
    EXPECT_EQ(sum.data()[i], before.data()[i] + alone.data()[i]);
  }
}

TEST(MultiplyTransposed, RefusesShapesThatDisagree) {
  const PackedMatrix packed = quantize(normal(4, 64).view(), Format());
  const Matrix x(1, 63);
  Matrix y(1, 4);
  EXPECT_THROW(multiply_transposed(x.view(), packed, y.view()), InputError);
}

TEST(Codebook, TheFittedScaleOfBinaryIsTheMeanMagnitude) {
  const Matrix w = normal(1, 64);
  double sum = 0;
  for (const float value : w.values()) sum += std::abs(value);
  const PackedMatrix packed = quantize(w.view(), format(1, Codebook::binary, ScaleRule::mse));
  EXPECT_NEAR(block_scales(packed)(0, 0), sum / 64, 1e-6);
}

TEST(Codebook, TheFittedScaleOfTernaryIsTheMeanOfTheMagnitudesAboveHalfOfIt) {
  const Matrix w = normal(1, 64);
  const PackedMatrix packed = quantize(w.view(), format(2, Codebook::ternary, ScaleRule::mse));
  const float scale = block_scales(packed)(0, 0);
  double sum = 0;
  int count = 0;
  for (const float value : w.values()) {
    if (std::abs(value) <= scale / 2) continue;
    sum += std::abs(value);
    ++count;
  }
  EXPECT_NEAR(scale, sum / count, 1e-5);
}

// E|x| = sqrt(2 / pi) = 0.79788, and E||x| - 0.79788| = 0.48262 by quadrature.
TEST(Codebook, ResidualBinarizationOfNormalValuesHasTheFactorsOfTheirMagnitudes) {
  EXPECT_EQ(code_values(format(1, Codebook::residual_binary)), (std::vector<float>{-1.f, 1.f}));
  const std::vector<float> values = code_values(format(2, Codebook::residual_binary));
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(values[3], 1.f);
  const double second = 0.482624;
  EXPECT_NEAR(values[2], (0.797885 - second) / (0.797885 + second), 1e-4);
  EXPECT_EQ(values[1], -values[2]);
}

TEST(Codebook, HasEveryWidthOfItsRangeAndNoOther) {
  for (const std::string_view known : codebook_names()) {
    const Codebook codebook = codebook_from_name(known).value();
    EXPECT_EQ(name(codebook), known);
    const auto [least, most] = bit_range(codebook);
    for (int bits = 0; bits <= 9; ++bits) {
      const Format f = format(bits, codebook, ScaleRule::mse);
      if (least <= bits && bits <= most) {
        EXPECT_NO_THROW(f.validate()) << known << bits;
      } else {
        EXPECT_THROW(f.validate(), InputError) << known << bits;
      }
    }
  }
  EXPECT_FALSE(codebook_from_name("nf4").has_value());
}

}  // namespace
}  // namespace qloft::quant
