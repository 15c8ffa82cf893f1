#pragma once

#include <filesystem>
#include <string>

#include "qloft/core/error.h"
#include "qloft/core/progress.h"

namespace qloft::test {

// The line that stage(options, progress) refuses with, without the name of `folder`; else
// "accepted".
template <typename Stage, typename Options>
std::string refusal(Stage stage, const Options& options, const std::filesystem::path& folder = {}) {
  Progress silent;
  try {
    stage(options, silent);
  } catch (const InputError& error) {
    std::string line = error.what();
    const std::string root = folder.string() + "/";
    if (folder.empty()) return line;
    for (auto at = line.find(root); at != std::string::npos; at = line.find(root)) {
      line.erase(at, root.size());
    }
    return line;
  }
  return "accepted";
}

}  // namespace qloft::test
