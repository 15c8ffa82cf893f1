#pragma once
// How a model keeps its output matrix. No torch here.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qloft::model {

// stored: as the checkpoint has it. int8: a dense one in 8.5 bits a weight, for decoding
// (backend::in_eight_bits).
enum class OutputType : std::uint8_t { stored, int8 };

inline constexpr std::array<std::string_view, 2> kOutputTypeNames = {"stored", "int8"};

inline constexpr std::string_view name(OutputType type) {
  return kOutputTypeNames[static_cast<std::size_t>(type)];
}
inline constexpr std::optional<OutputType> output_type_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kOutputTypeNames.size(); ++i) {
    if (kOutputTypeNames[i] == name) return static_cast<OutputType>(i);
  }
  return std::nullopt;
}

}  // namespace qloft::model
