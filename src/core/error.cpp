#include "qloft/core/error.h"

#include <cstring>

namespace qloft {
namespace {

std::string one_line(const ErrorLocation& location, std::string_view message) {
  std::string line;
  if (!location.file.empty()) line += location.file.string() + ": ";
  if (!location.field.empty()) line += location.field + ": ";
  line += message;
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return line;
}

}  // namespace

Error::Error(ErrorLocation location, std::string_view message)
    : std::runtime_error(one_line(location, message)), location_(std::move(location)) {}

SystemError::SystemError(ErrorLocation location, std::string_view message, int error_number)
    : Error(std::move(location), std::string(message) + ": " + std::strerror(error_number)) {}

}  // namespace qloft
