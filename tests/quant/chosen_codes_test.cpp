// Quantizers that choose codes and scales themselves.

#include <gtest/gtest.h>

#include <limits>

#include "qloft/core/error.h"
#include "support.h"

namespace qloft::quant {
namespace {

TEST(SetCodes, StoresThemForEveryWidthAndARaggedRow) {
  for (const int bits : {2, 3, 4, 5, 8}) {
    const Format format = {
        .bits = bits, .codebook = Codebook::uniform, .block = 16, .second_level = {}};
    PackedMatrix packed = quantize(normal(3, 45).view(), format);
    const Matrix scales = block_scales(packed);
    const std::vector<float> values = code_values(format);
    std::vector<std::uint8_t> codes(3 * 45);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<std::uint8_t>(i % values.size());
    }
    set_codes(packed, codes);
    const Matrix out = dequantized(packed);
    for (std::int64_t i = 0; i < out.size(); ++i) {
      const float expected =
          scales(i / 45, i % 45 / 16) * values[codes[static_cast<std::size_t>(i)]];
      ASSERT_EQ(out.data()[i], expected) << bits << " bits, element " << i;
    }
  }
}

TEST(SetCodes, RefusesCodesThatTheCodeBookLacksAndAnotherCount) {
  PackedMatrix packed(
      Format{.bits = 2, .codebook = Codebook::ternary, .block = 16, .second_level = {}}, 1, 16);
  std::vector<std::uint8_t> codes(16, 2);
  EXPECT_NO_THROW(set_codes(packed, codes));
  codes[7] = 3;
  EXPECT_THROW(set_codes(packed, codes), InputError);
  EXPECT_THROW(set_codes(packed, std::vector<std::uint8_t>(15)), Error);
}

TEST(SetScales, StoresThemAsTheFormatSaysAndKeepsTheCodes) {
  for (const auto& second : {std::optional<SecondLevel>{}, std::optional(SecondLevel{})}) {
    PackedMatrix packed =
        quantize(normal(4, 64).view(), Format{.bits = 3, .block = 16, .second_level = second});
    Matrix scales = block_scales(packed);
    const Matrix before = dequantized(packed);
    for (float& scale : scales.values()) scale *= 2.f;
    set_scales(packed, scales.view());
    const Matrix after = dequantized(packed);
    for (std::int64_t i = 0; i < after.size(); ++i) {
      EXPECT_NEAR(after.data()[i], 2 * before.data()[i], 0.03f * std::abs(before.data()[i]));
    }
  }
}

TEST(SetScales, RefusesAnotherShapeAndInfinity) {
  PackedMatrix packed = quantize(normal(2, 32).view(), Format{.block = 16, .second_level = {}});
  EXPECT_THROW(set_scales(packed, Matrix(2, 3).view()), Error);
  Matrix scales(2, 2);
  scales(1, 1) = std::numeric_limits<float>::infinity();
  EXPECT_THROW(set_scales(packed, scales.view()), InputError);
}

TEST(BlockOffsets, AreThoseOfTheAsymmetricCodeAndElseNone) {
  Matrix weight(1, 32);
  for (std::int64_t j = 0; j < 32; ++j) weight(0, j) = static_cast<float>(10 + j % 16);
  const Format format = {
      .bits = 4, .codebook = Codebook::uniform_asymmetric, .block = 16, .second_level = {}};
  const Matrix offsets = block_offsets(quantize(weight.view(), format));
  ASSERT_EQ(offsets.columns(), 2);
  EXPECT_FLOAT_EQ(offsets(0, 1), 17.5f);
  EXPECT_TRUE(block_offsets(quantize(weight.view(), Format{.second_level = {}})).empty());
}

}  // namespace
}  // namespace qloft::quant
