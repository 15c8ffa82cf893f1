#pragma once
// In which numbers is kept what decoding reads again with every token: keys and values of past
// positions, and an adapter's factors. No torch here.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qloft::backend {

// int8: 8 bits and scales, 8.5 bits a value (qloft/backend/cache.h, linear.h).
enum class StoredType : std::uint8_t { f32, bf16, int8 };

inline constexpr std::array<std::string_view, 3> kStoredTypeNames = {"f32", "bf16", "int8"};

inline constexpr std::string_view name(StoredType type) {
  return kStoredTypeNames[static_cast<std::size_t>(type)];
}
inline constexpr std::optional<StoredType> stored_type_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kStoredTypeNames.size(); ++i) {
    if (kStoredTypeNames[i] == name) return static_cast<StoredType>(i);
  }
  return std::nullopt;
}

// The type in which this CPU reads factors soonest while it decodes: int8 where it looks up bytes
// (AVX-512 VBMI), else bf16.
StoredType fastest_factors();

}  // namespace qloft::backend
