#include <c10/util/Float8_e4m3fn.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "qloft/core/element.h"

namespace qloft {
namespace {

TEST(Float8, RoundsEveryFloatOfAFinerGridAsTorchDoes) {
  // Every sign and exponent, and fractions of 15 bits: halfway cases, and their neighbours.
  for (std::uint32_t upper = 0; upper < (1u << 24); ++upper) {
    const float value = std::bit_cast<float>(upper << 8);
    const auto torchs = static_cast<c10::Float8_e4m3fn>(value);
    ASSERT_EQ(Float8::from_float(value).bits, torchs.x) << value;
  }
}

}  // namespace
}  // namespace qloft
