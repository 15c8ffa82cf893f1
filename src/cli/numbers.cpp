#include "numbers.h"

#include <charconv>
#include <limits>
#include <system_error>

namespace qloft::cli {
namespace {

// The error is invalid_argument unless the whole text is a number.
template <typename Number>
std::errc parse(const std::string& text, Number& number) {
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  return last == end ? error : std::errc::invalid_argument;
}

std::string at_most_text(std::uint64_t most, const std::string& text) {
  return "expected at most " + std::to_string(most) + ", found " + text;
}

std::string no_whole_number(const std::string& text) {
  return "expected a whole number, found '" + text + "'";
}

}  // namespace

std::string check_whole(std::string& text, std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  const std::errc error = parse(text, number);
  if (error == std::errc::invalid_argument) return no_whole_number(text);
  const bool beyond = error == std::errc::result_out_of_range, minus = text.starts_with('-');
  if ((beyond && minus) || number < least) {
    return "expected at least " + std::to_string(least) + ", found " + text;
  }
  if (beyond || number > most) return at_most_text(static_cast<std::uint64_t>(most), text);
  text = std::to_string(number);
  return {};
}

std::string check_seed(std::string& text) {
  std::int64_t negative = 0;
  if (text.starts_with('-') && parse(text, negative) != std::errc::invalid_argument) {
    return "expected 0 or more, found " + text;
  }
  std::uint64_t number = 0;
  const std::errc error = parse(text, number);
  if (error == std::errc::invalid_argument) return no_whole_number(text);
  if (error == std::errc::result_out_of_range) {
    return at_most_text(std::numeric_limits<std::uint64_t>::max(), text);
  }
  text = std::to_string(number);
  return {};
}

std::string check_real(const std::string& text) {
  double number = 0;
  const std::errc error = parse(text, number);
  if (error == std::errc::invalid_argument) return "expected a number, found '" + text + "'";
  if (error == std::errc::result_out_of_range) {
    return "expected a number that 64 bits hold, found " + text;
  }
  return {};
}

}  // namespace qloft::cli
