// Any JSON is a quantization_config or an InputError; what is one is the same after it was written
// and read again.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "qloft/core/error.h"
#include "qloft/quantized.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  quantized::QuantizationConfig first;
  try {
    const io::Json json =
        io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "input");
    first = quantized::config_from_json(json, "input");
  } catch (const InputError&) {
    return 0;
  }
  const auto second = quantized::config_from_json(quantized::to_json(first), "again");
  if (first.matrices.size() != second.matrices.size()) __builtin_trap();
  for (const auto& [name, entry] : first.matrices) {
    const quantized::MatrixEntry& other = second.matrices.at(name);
    const bool same =
        entry.format == other.format && entry.rows == other.rows && entry.columns == other.columns;
    if (!same) __builtin_trap();
    quantized::tensors_of(name, entry);
  }
  return 0;
}
