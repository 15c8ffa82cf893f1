#pragma once
// The number that an answer to a word problem ends in.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qloft::evaluate {

// hashes: the number after "####". last_number: LoftQ's rule, the last number of the text.
enum class AnswerRule : std::uint8_t { hashes, last_number };

// Normalised, "1,200." -> "1200": commas, currency signs and a trailing full stop do not count;
// nullopt: there is none.
std::optional<std::string> final_number(std::string_view text, AnswerRule rule);

}  // namespace qloft::evaluate
