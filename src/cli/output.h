#pragma once
// What the program writes to standard output and standard error.

#include <string_view>

namespace qloft::cli {

// Standard output holds what was asked for: throws SystemError where it cannot be written.
void print_out(std::string_view text);
void flush_out();

// Standard error tells of the work: what cannot be shown is dropped.
void print_error(std::string_view text);

}  // namespace qloft::cli
