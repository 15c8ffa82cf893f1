#pragma once
// What error messages say of shapes and mistyped names.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qloft {

// "[2048, 5632]"
std::string shape_text(const std::vector<std::int64_t>& shape);

// "nf, uniform or trellis"
std::string alternatives(const std::vector<std::string_view>& names);

// With &, <, >, " and ' as HTML spells them, in the way of Python's markupsafe.
std::string html_escaped(std::string_view text);

// The known name nearest to `word` by edits (Damerau-Levenshtein), the first of equals; empty where
// none is near enough to be what was meant.
std::string nearest_name(std::string_view word, const std::vector<std::string>& known);

// "; did you mean NAME?", or nothing where no known name is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

}  // namespace qloft
