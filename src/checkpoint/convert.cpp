#include <array>
#include <bit>
#include <cstring>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/threads.h"

namespace qloft::checkpoint {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // elements a task

template <typename T>
T load(const std::byte* bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// Float16::to_float without a branch, so that the loop becomes vector code: the multiplication by
// 2^112 moves the exponent, also of subnormal numbers, exactly.
float widen_f16(std::uint16_t half) {
  const auto sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const auto magnitude = static_cast<std::uint32_t>(half & 0x7fffu) << 13;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  const std::uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | special | sign);
}

std::array<float, 256> values_of_f8() {
  std::array<float, 256> values{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = Float8{static_cast<std::uint8_t>(i)}.to_float();
  }
  return values;
}

}  // namespace

void convert_to_f32(std::span<const std::byte> bytes, ElementType type, std::span<float> values) {
  if (values.size() * byte_size(type) != bytes.size()) {
    throw Error({}, "convert_to_f32: sizes disagree");
  }
  const std::byte* in = bytes.data();
  float* out = values.data();
  const auto count = static_cast<std::int64_t>(values.size());
  switch (type) {
    case ElementType::f32:
      parallel_for(count, kGrain, [=](std::int64_t begin, std::int64_t end) {
        std::memcpy(out + begin, in + begin * 4, static_cast<std::size_t>(end - begin) * 4);
      });
      return;
    case ElementType::bf16:
      parallel_for(count, kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          out[i] = BFloat16{load<std::uint16_t>(in, i)}.to_float();
        }
      });
      return;
    case ElementType::f16:
      parallel_for(count, kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) out[i] = widen_f16(load<std::uint16_t>(in, i));
      });
      return;
    case ElementType::f8: {
      static const std::array<float, 256> kValues = values_of_f8();
      parallel_for(count, kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          out[i] = kValues[std::to_integer<std::size_t>(in[i])];
      });
      return;
    }
    default:
      throw InputError("expected elements of type F32, F16, BF16 or F8_E4M3, found " +
                       std::string(safetensors_name(type)));
  }
}

std::vector<std::byte> convert_from_f32(std::span<const float> values, ElementType type) {
  std::vector<std::byte> bytes(values.size() * byte_size(type));
  std::byte* out = bytes.data();
  const float* in = values.data();
  const auto count = static_cast<std::int64_t>(values.size());
  switch (type) {
    case ElementType::f32:
      if (!bytes.empty()) std::memcpy(out, in, bytes.size());
      return bytes;
    case ElementType::bf16:
      parallel_for(count, kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::uint16_t bits = BFloat16::from_float(in[i]).bits;
          std::memcpy(out + i * 2, &bits, 2);
        }
      });
      return bytes;
    case ElementType::f16:
      parallel_for(count, kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::uint16_t bits = Float16::from_float(in[i]).bits;
          std::memcpy(out + i * 2, &bits, 2);
        }
      });
      return bytes;
    case ElementType::f8:
      parallel_for(count, kGrain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          out[i] = std::byte{Float8::from_float(in[i]).bits};
      });
      return bytes;
    default:
      throw InputError("expected a type of f32, f16, bf16 or f8, found " +
                       std::string(short_name(type)));
  }
}

}  // namespace qloft::checkpoint
