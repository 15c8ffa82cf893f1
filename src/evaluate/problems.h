#pragma once
// Word problems with worked answers: rows of "question" and "answer".

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qloft::evaluate {

struct Problem {
  std::string question;
  std::string answer;
};

// At most `limit` of them; 0: all. Throws InputError naming file and row; where there is none.
std::vector<Problem> read_problems(const std::filesystem::path& file, std::int64_t limit);

// `count` worked examples as they stand before a question; empty for 0. Throws InputError where the
// file has fewer.
std::string few_shot_prefix(const std::filesystem::path& file, std::int64_t count);

}  // namespace qloft::evaluate
