#include "qloft/core/element.h"

#include <algorithm>
#include <array>
#include <limits>

#include "qloft/core/error.h"

namespace qloft {
namespace {

struct Row {
  ElementType type;
  std::size_t bytes;
  std::string_view safetensors;
  std::string_view short_name;
};

constexpr std::array kTypes = {
    Row{ElementType::f64, 8, "F64", "f64"},       Row{ElementType::f32, 4, "F32", "f32"},
    Row{ElementType::f16, 2, "F16", "f16"},       Row{ElementType::bf16, 2, "BF16", "bf16"},
    Row{ElementType::f8, 1, "F8_E4M3", "f8"},     Row{ElementType::i64, 8, "I64", "i64"},
    Row{ElementType::i32, 4, "I32", "i32"},       Row{ElementType::i16, 2, "I16", "i16"},
    Row{ElementType::i8, 1, "I8", "i8"},          Row{ElementType::u8, 1, "U8", "u8"},
    Row{ElementType::boolean, 1, "BOOL", "bool"},
};

constexpr const Row& row(ElementType type) {
  return kTypes[static_cast<std::size_t>(type)];
}

constexpr bool rows_are_in_enum_order() {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].type != static_cast<ElementType>(i)) return false;
  }
  return true;
}
static_assert(rows_are_in_enum_order());

// The magnitude of a float as the bits of one with `fraction` bits of fraction, an exponent whose
// bias is `bias`, and subnormals; rounded to nearest even, whatever lies beyond the largest.
std::uint32_t narrowed(std::uint32_t magnitude, unsigned fraction, unsigned bias) {
  const std::uint32_t rebias = 127u - bias;
  if (magnitude < (rebias + 1u) << 23) {
    // A subnormal: adding a power of two leaves the rounded significand in the low bits.
    const float power = std::bit_cast<float>((rebias + 24u - fraction) << 23);
    const float shifted = std::bit_cast<float>(magnitude) + power;
    return std::bit_cast<std::uint32_t>(shifted) & 0x7fffffu;
  }
  const unsigned shift = 23u - fraction;
  const std::uint32_t odd = (magnitude >> shift) & 1u;
  return (magnitude - (rebias << 23) + (1u << (shift - 1u)) - 1u + odd) >> shift;
}

// And back, of a finite value.
float widened(std::uint32_t magnitude, unsigned fraction, unsigned bias) {
  const float bits = std::bit_cast<float>(magnitude << (23u - fraction));
  return bits * std::bit_cast<float>((254u - bias) << 23);  // exact, of subnormals too
}

float with_sign(float magnitude, std::uint32_t sign) {
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

float largest_value(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return std::numeric_limits<float>::max();
    case ElementType::bf16:
      return BFloat16{0x7f7f}.to_float();
    case ElementType::f16:
      return 65504.f;
    case ElementType::f8:
      return 448.f;
    default:
      throw Error({}, "largest_value: not a floating-point storage type");
  }
}

}  // namespace

std::size_t byte_size(ElementType type) {
  return row(type).bytes;
}
std::string_view safetensors_name(ElementType type) {
  return row(type).safetensors;
}
std::string_view short_name(ElementType type) {
  return row(type).short_name;
}

std::optional<ElementType> element_type_from_safetensors(std::string_view name) {
  for (const Row& r : kTypes) {
    if (r.safetensors == name) return r.type;
  }
  return std::nullopt;
}

std::optional<ElementType> element_type_from_short_name(std::string_view name) {
  for (const Row& r : kTypes) {
    if (r.short_name == name) return r.type;
  }
  return std::nullopt;
}

Float16 Float16::from_float(float value) {
  const auto u = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((u >> 16) & 0x8000u);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
  return {static_cast<std::uint16_t>(sign | narrowed(magnitude, 10, 15))};
}

float Float16::to_float() const {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  }
  return with_sign(widened(magnitude, 10, 15), sign);
}

Float8 Float8::from_float(float value) {
  const auto u = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint8_t>((u >> 24) & 0x80u);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  constexpr std::uint32_t kBeyond = 0x43e80000u;  // 464: half way to 480, which it lacks
  if (magnitude > kBeyond) return {static_cast<std::uint8_t>(sign | 0x7fu)};
  return {static_cast<std::uint8_t>(sign | narrowed(magnitude, 3, 7))};
}

float Float8::to_float() const {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80u) << 24;
  const std::uint32_t magnitude = bits & 0x7fu;
  if (magnitude == 0x7fu) return std::bit_cast<float>(sign | 0x7fc00000u);
  return with_sign(widened(magnitude, 3, 7), sign);
}

float round_to(float value, ElementType type) {
  switch (type) {
    case ElementType::f32:
      return value;
    case ElementType::f16:
      return Float16::from_float(value).to_float();
    case ElementType::bf16:
      return BFloat16::from_float(value).to_float();
    case ElementType::f8:
      return Float8::from_float(value).to_float();
    default:
      throw Error({}, "round_to: not a floating-point storage type");
  }
}

float round_within(float value, ElementType type) {
  const float largest = largest_value(type);
  return round_to(std::clamp(value, -largest, largest), type);
}

}  // namespace qloft
