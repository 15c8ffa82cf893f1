#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace qloft::test {

// The names of what a folder holds, in order.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    out.push_back(entry.path().filename());
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace qloft::test
