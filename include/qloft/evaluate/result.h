#pragma once
// What the tasks are asked for and give back. No torch here.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/text/tokenizer.h"

namespace qloft::evaluate {

struct Perplexity {
  double nll_mean = 0;  // natural log, over all predicted tokens
  double perplexity = 0;
  std::int64_t tokens = 0;  // predicted tokens
};

struct ProblemOptions {
  std::int64_t limit = 0;     // problems; 0: all
  std::int64_t few_shot = 0;  // worked examples before each question, from few_shot_file
  std::filesystem::path few_shot_file;
  std::int64_t max_tokens = 256;
  std::int64_t batch = 8;          // problems generated at once
  std::vector<text::TokenId> eos;  // what ends an answer (generate::end_tokens)
  // hashes: the number after "####". last_number: LoftQ's rule, the last number of the text.
  enum class Rule { hashes, last_number } rule = Rule::hashes;
};

struct Prediction {
  std::int64_t index = 0;
  std::string question, reference, answer;  // answer: the generated text
  std::optional<std::string> expected, found;
  bool correct = false;
};

struct Accuracy {
  double accuracy = 0;
  double standard_error = 0;  // sqrt(p (1 - p) / n)
  std::int64_t correct = 0;
  std::int64_t total = 0;
};

// The number that an answer ends in, normalised ("1,200." -> "1200"); nullopt: none.
std::optional<std::string> final_number(std::string_view text, ProblemOptions::Rule rule);

}  // namespace qloft::evaluate
