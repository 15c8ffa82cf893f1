#pragma once
// Where the elements of a JSON array begin, in one pass and without building any of it: 8 bytes an
// element.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "source_file.h"

namespace qloft::data {

// An array of rows that a file holds.
struct ElementIndex {
  std::vector<std::uint64_t> begins;
  std::uint64_t end = 0;  // behind the last one

  std::int64_t size() const { return static_cast<std::int64_t>(begins.size()); }
  std::string element(const SourceFile& file, std::int64_t index) const;
};

// The rows of a file that is one JSON value: an array, an object with one member that is an array
// of objects, or an object that is a row itself and takes several lines. nullopt: it holds lines.
// Throws InputError for brackets that do not close, elements that are missing, what stands behind
// the array, or several arrays of objects.
std::optional<ElementIndex> find_elements(const SourceFile& file);

}  // namespace qloft::data
