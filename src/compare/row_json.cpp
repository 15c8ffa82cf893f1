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
    io::Json row = json;
    const io::Json without = to_json(Row());
    // Files of earlier versions lack these.
    for (const char* field : {"recovered", "recover_seconds", "recover_steps",
                              "total_bits_per_weight", "tuned_total_bits_per_weight"}) {
      if (row.is_object() && !row.contains(field)) row[field] = without.at(field);
    }
    return io::fields_from_json<Row>(row);
  } catch (const io::Json::exception& error) {
    throw InputError({file, {}}, std::string("expected a row of a comparison: ") + error.what());
  }
}

}  // namespace qloft::compare
