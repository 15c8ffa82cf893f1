#pragma once
// The texts of numbers, as validators of CLI11 take them: they say what is wrong with one, or
// nothing. CLI11 itself would take "" for 0, "010" for 8 and what is too large for the largest.

#include <cstdint>
#include <string>

namespace qloft::cli {

// Writes `text` anew as CLI11 reads it right.
std::string check_whole(std::string& text, std::int64_t least, std::int64_t most);
std::string check_seed(std::string& text);  // any that 64 bits hold
std::string check_real(const std::string& text);

}  // namespace qloft::cli
