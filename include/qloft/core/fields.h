#pragma once
// A field of a report is declared once, as visitor("bits_per_weight", report.bits_per_weight,
// show::fixed("bits per weight", 3)) in a function template visit_fields(REPORT&, visitor&). The
// same declaration writes the JSON and reads it back (qloft/io/field_json.h), and shows the field
// on the terminal where it says how. As options are (qloft/core/options.h).

#include <cstdint>
#include <string>
#include <utility>

namespace qloft {

// How a field stands in a table for people.
struct Shown {
  // absent: the field says nothing here.
  enum class As : std::uint8_t { nothing, absent, text, fixed, percent, bytes, duration, count };
  As as = As::nothing;
  std::string label = {};  // of its line, or its column
  int decimals = 0;
};

namespace show {

inline Shown text(std::string label) {
  return {Shown::As::text, std::move(label)};
}
inline Shown fixed(std::string label, int decimals) {
  return {Shown::As::fixed, std::move(label), decimals};
}
// Of a share from 0 to 1.
inline Shown percent(std::string label, int decimals) {
  return {Shown::As::percent, std::move(label), decimals};
}
inline Shown bytes(std::string label) {
  return {Shown::As::bytes, std::move(label)};
}
// Of seconds.
inline Shown duration(std::string label) {
  return {Shown::As::duration, std::move(label)};
}
// Three significant digits: "1.49M".
inline Shown count(std::string label) {
  return {Shown::As::count, std::move(label)};
}

}  // namespace show

}  // namespace qloft
