#pragma once
// Lines of a descriptor, waited for only until the user asks to stop.

#include <cstddef>
#include <string>

#include "qloft/core/progress.h"

namespace qloft::cli {

class InputLines {
 public:
  static constexpr std::size_t kMostBytes = 16 << 20;

  explicit InputLines(int descriptor) : descriptor_(descriptor) {}
  // False at the end of the input, and where progress asks to stop. Throws InputError for a line of
  // more than kMostBytes.
  bool next(std::string& line, const Progress& progress);

 private:
  int descriptor_;
  std::string buffer_;
  std::size_t searched_ = 0;  // its first bytes, which have no end of a line
  bool ended_ = false;
};

}  // namespace qloft::cli
