#include "qloft/core/element.h"

#include <array>

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
  if (magnitude < 0x38800000u) {
    // A subnormal half: adding 0.5 leaves the rounded significand in the low bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) & 0xffffu))};
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  return {static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13))};
}

float Float16::to_float() const {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

Float8 Float8::from_float(float value) {
  const auto u = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint8_t>((u >> 24) & 0x80u);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  constexpr std::uint32_t kSmallestNormal = 0x3c800000u;  // 2^-6
  constexpr std::uint32_t kBeyond = 0x43e80000u;          // 464: half way to 480, which it lacks
  if (magnitude > kBeyond) return {static_cast<std::uint8_t>(sign | 0x7fu)};
  if (magnitude < kSmallestNormal) {
    // A subnormal: adding 2^14 leaves the multiple of 2^-9 in the low bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14f;
    return {static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(shifted) & 0xffu))};
  }
  const std::uint32_t odd = (magnitude >> 20) & 1u;
  return {static_cast<std::uint8_t>(sign | ((magnitude - 0x3c000000u + 0x7ffffu + odd) >> 20))};
}

float Float8::to_float() const {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x80u) << 24;
  const std::uint32_t exponent = (bits >> 3) & 0xfu;
  const std::uint32_t fraction = bits & 7u;
  if ((bits & 0x7fu) == 0x7fu) return std::bit_cast<float>(sign | 0x7fc00000u);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-9f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 120u) << 23) | (fraction << 20));
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

}  // namespace qloft
