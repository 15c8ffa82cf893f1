// A row's file.

#include "qloft/core/error.h"
#include "qloft/io/field_json.h"
#include "row_fields.h"

namespace qloft::compare {

io::Json to_json(const Row& row) {
  return io::fields_to_json(row);
}

Row row_from_json(const io::Json& json, const std::filesystem::path& file) {
  try {
    return io::fields_from_json<Row>(json);
  } catch (const io::Json::exception& error) {
    throw InputError({file, {}}, std::string("expected a row of a comparison: ") + error.what());
  }
}

}  // namespace qloft::compare
