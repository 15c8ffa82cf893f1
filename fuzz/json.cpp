// Any bytes are JSON or an InputError; what is JSON is the same after it was written and read
// again.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "qloft/core/error.h"
#include "qloft/io.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  io::Json value;
  try {
    value = io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "input");
  } catch (const InputError&) {
    return 0;
  }
  if (io::parse_json(value.dump(), "again") != value) __builtin_trap();
  return 0;
}
