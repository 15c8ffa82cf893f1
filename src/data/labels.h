#pragma once
// A label of a file as a head counts it.

#include <optional>
#include <string>
#include <vector>

#include "qloft/core/error.h"

namespace qloft::data {

// "a, b, c"
std::string list_of(const std::vector<std::string>& names);

// nullopt: it is none, or none that is finite.
std::optional<double> number_in(const std::string& text);

// The number itself where there are no labels; else the place of the label, by its name, by that of
// `aliases`, or, where no label is a number itself, as its place is written. Throws InputError at
// the row's column.
double label_value(const std::vector<std::string>& labels, const std::vector<std::string>& aliases,
                   const std::string& text, const ErrorLocation& row, const std::string& column);

}  // namespace qloft::data
