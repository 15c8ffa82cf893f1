#pragma once
// Lines of a descriptor, waited for only until the user asks to stop.

#include <string>

#include "qloft/core/progress.h"

namespace qloft::cli {

class InputLines {
 public:
  explicit InputLines(int descriptor) : descriptor_(descriptor) {}
  // False at the end of the input, and where progress asks to stop.
  bool next(std::string& line, const Progress& progress);

 private:
  int descriptor_;
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace qloft::cli
