#pragma once

#include <filesystem>
#include <string>

#include "qloft/core/error.h"
#include "qloft/core/progress.h"

namespace qloft::test {

// The line that run() refuses with; else "accepted".
template <typename Run>
std::string refusal(Run run) {
  try {
    run();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

// The same of stage(options, progress), without the name of `folder`.
template <typename Stage, typename Options>
std::string refusal(Stage stage, const Options& options, const std::filesystem::path& folder = {}) {
  Progress silent;
  std::string line = refusal([&] { stage(options, silent); });
  const std::string root = folder.string() + "/";
  if (folder.empty()) return line;
  for (auto at = line.find(root); at != std::string::npos; at = line.find(root)) {
    line.erase(at, root.size());
  }
  return line;
}

// The line that run() fails with, whoever is to blame; else "accepted".
template <typename Run>
std::string failure(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace qloft::test
