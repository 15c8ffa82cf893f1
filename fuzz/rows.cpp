// Any bytes are rows, or an InputError; of a JSON array the rows are its elements.

#include "qloft/data/rows.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "qloft/core/error.h"
#include "qloft/io.h"

namespace {

std::optional<qloft::io::Json> parsed(std::string_view text) {
  try {
    return qloft::io::parse_json(text, "input");
  } catch (const qloft::InputError&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  const int file = ::memfd_create("rows", MFD_CLOEXEC);
  if (file < 0 || ::write(file, data, size) != static_cast<ssize_t>(size)) __builtin_trap();
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const auto whole = parsed({reinterpret_cast<const char*>(data), size});
  const bool array = whole && whole->is_array();
  try {
    const data::Rows rows(path);
    if (array && rows.size() != static_cast<std::int64_t>(whole->size())) __builtin_trap();
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      const io::Json row = rows.read(i);
      if (array && row != (*whole)[static_cast<std::size_t>(i)]) __builtin_trap();
    }
  } catch (const InputError&) {
    if (array) __builtin_trap();
  }
  ::close(file);
  return 0;
}
