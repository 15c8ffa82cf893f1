#pragma once
// The one family of exceptions that the library throws. The library never prints and never exits;
// the program turns an InputError into exit status 2 and every other Error into 1.

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace qloft {

// Where in the user's input an error lies. Either part may be empty.
struct ErrorLocation {
  std::filesystem::path file;  // the file or folder at fault
  std::string field;           // tensor name, JSON field, option or line within it
};

// what() is one line: "FILE: FIELD: MESSAGE", the empty parts left out.
class Error : public std::runtime_error {
 public:
  Error(ErrorLocation location, std::string_view message);
  const ErrorLocation& location() const { return location_; }

 private:
  ErrorLocation location_;
};

// The caller's input is wrong: a missing or broken file, an impossible option. Exit status 2.
class InputError : public Error {
 public:
  using Error::Error;
  explicit InputError(std::string_view message) : Error({}, message) {}
};

// The machine refused: a full disk, an unreadable device, a failed system call. Exit status 1.
class SystemError : public Error {
 public:
  using Error::Error;
  // Appends the text of `error_number` (errno) to the message.
  SystemError(ErrorLocation location, std::string_view message, int error_number);
};

// The computation cannot go on: a loss that is not a number, no convergence. Exit status 1.
class ComputationError : public Error {
 public:
  using Error::Error;
};

// The user asked to stop (Progress::stop_requested). What was finished is kept. Exit status 130.
class Interrupted : public Error {
 public:
  using Error::Error;
};

}  // namespace qloft
