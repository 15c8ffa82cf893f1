# The table of families: a row for each file of src/architecture/families, so that a new family
# touches no other file.
file(GLOB families CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/src/architecture/families
     ${CMAKE_SOURCE_DIR}/src/architecture/families/*.cpp)
set(declarations "")
set(rows "")
foreach(file IN LISTS families)
  get_filename_component(name ${file} NAME_WE)
  string(APPEND declarations "Layout ${name}(const io::Field& config);\n")
  string(APPEND rows "    {\"${name}\", ${name}},\n")
endforeach()
set(table ${CMAKE_BINARY_DIR}/generated/family_table.cpp)
file(CONFIGURE OUTPUT ${table} @ONLY CONTENT [[
#include "family_table.h"

namespace qloft::architecture {

@declarations@
namespace {
constexpr Family kFamilies[] = {
@rows@};
}  // namespace

std::span<const Family> family_table() {
  return kFamilies;
}

}  // namespace qloft::architecture
]])
target_sources(qloft_architecture PRIVATE ${table})
