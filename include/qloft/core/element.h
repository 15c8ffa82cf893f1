#pragma once
// Element types of tensors on disk and in memory, and the floats of 16 and 8 bits as values.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qloft {

enum class ElementType : std::uint8_t { f64, f32, f16, bf16, f8, i64, i32, i16, i8, u8, boolean };

std::size_t byte_size(ElementType type);

// The name that safetensors uses: "F32", "BF16", "BOOL", ...
std::string_view safetensors_name(ElementType type);
std::optional<ElementType> element_type_from_safetensors(std::string_view name);

// The name at the prompt and in our JSON: "f32", "bf16", ...
std::string_view short_name(ElementType type);
std::optional<ElementType> element_type_from_short_name(std::string_view name);

// IEEE binary32 cut to its upper 16 bits, rounded to nearest even; NaN stays NaN.
struct BFloat16 {
  std::uint16_t bits = 0;

  static constexpr BFloat16 from_float(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((u >> 16) | 0x40u)};
    return {static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
  }
  constexpr float to_float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

// IEEE binary16, rounded to nearest even; overflow goes to infinity.
struct Float16 {
  std::uint16_t bits = 0;

  static Float16 from_float(float value);
  float to_float() const;
};

// OCP E4M3 (safetensors' F8_E4M3, torch.float8_e4m3fn): 1 bit of sign, 4 of exponent, 3 of
// fraction. The largest value is 448, the least step 2^-9; it has NaN and no infinity. Rounded to
// nearest even; what rounds above 448 is NaN.
struct Float8 {
  std::uint8_t bits = 0;

  static Float8 from_float(float value);
  float to_float() const;
};

static_assert(sizeof(BFloat16) == 2 && sizeof(Float16) == 2 && sizeof(Float8) == 1);

// `value` rounded to `type` (f32, f16, bf16 or f8) and back; what is beyond its largest value as
// its from_float has it.
float round_to(float value, ElementType type);
// The same, but what is beyond the largest value becomes that.
float round_within(float value, ElementType type);

}  // namespace qloft
