#include "qloft/architecture.h"

#include <algorithm>
#include <string>

#include "family_table.h"
#include "qloft/io/fields.h"

namespace qloft::architecture {
namespace {

const Family& family_of(const io::Field& config) {
  const std::string name = config.string("model_type").value_or("");
  const auto table = family_table();
  std::string file = name;  // "deberta-v2" is in deberta_v2.cpp
  std::ranges::replace(file, '-', '_');
  const auto found = std::ranges::find(table, file, &Family::name);
  if (found != table.end()) return *found;
  std::string known;
  for (const Family& family : table) {
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  config.fail("model_type", "expected one of " + known + ", found " +
                                (name.empty() ? "nothing" : "\"" + name + "\""));
}

}  // namespace

std::vector<std::string_view> families() {
  std::vector<std::string_view> names;
  for (const Family& family : family_table()) names.push_back(family.name);
  return names;
}

Layout read_layout(const io::Json& json, const std::filesystem::path& file) {
  const io::Field config(json, file);
  Layout layout = family_of(config).read(config);
  layout.foreign_suffixes.push_back("rotary_emb.inv_freq");
  return layout;
}

}  // namespace qloft::architecture
