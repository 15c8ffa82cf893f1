#pragma once
// Hostile files as data: every line of tests/malformed/KIND/expected.txt is "CASE: TEXT", and
// reading CASE must end in an InputError that names a path within the case and contains TEXT.

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace qloft::test {

struct MalformedCase {
  std::filesystem::path path;
  std::string expected;
};

inline std::vector<MalformedCase> malformed_cases(const std::string& kind) {
  const std::filesystem::path folder = std::filesystem::path(QLOFT_TEST_DATA) / "malformed" / kind;
  std::ifstream lines(folder / "expected.txt");
  std::vector<MalformedCase> cases;
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(": ");
    if (colon == std::string::npos) continue;
    cases.push_back({folder / line.substr(0, colon), line.substr(colon + 2)});
  }
  return cases;
}

}  // namespace qloft::test
