#pragma once
// In which numbers keys and values of past positions are kept. No torch here.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qloft::backend {

// int8: codes of 8 bits with a bf16 scale for each 32 values of a head, 8.5 bits a value.
enum class CacheType : std::uint8_t { f32, bf16, int8 };

inline constexpr std::array<std::string_view, 3> kCacheTypeNames = {"f32", "bf16", "int8"};

inline constexpr std::string_view name(CacheType type) {
  return kCacheTypeNames[static_cast<std::size_t>(type)];
}
inline constexpr std::optional<CacheType> cache_type_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kCacheTypeNames.size(); ++i) {
    if (kCacheTypeNames[i] == name) return static_cast<CacheType>(i);
  }
  return std::nullopt;
}

}  // namespace qloft::backend
