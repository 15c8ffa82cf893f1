// Any bytes are rows, or an InputError; of a JSON array the rows are its elements. So are they
// records of CSV.

#include "qloft/data/rows.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "qloft/core/error.h"
#include "qloft/data/csv.h"
#include "qloft/io.h"
#include "support.h"

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
  const fuzz::MemoryFile input(fuzz::text(data, size));
  const auto whole = parsed(fuzz::text(data, size));
  const bool array = whole && whole->is_array();
  try {
    for (const data::CsvRecord& record : data::read_csv(input.path())) {
      if (record.fields.empty()) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  try {
    const data::Rows rows(input.path());
    if (array && rows.size() != static_cast<std::int64_t>(whole->size())) __builtin_trap();
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      const io::Json row = rows.read(i);
      if (array && row != (*whole)[static_cast<std::size_t>(i)]) __builtin_trap();
    }
  } catch (const InputError&) {
    if (array) __builtin_trap();
  }
  return 0;
}
