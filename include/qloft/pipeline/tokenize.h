#pragma once
// Stage: lines of a file to ids, and back.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "qloft/tokenizer.h"

namespace qloft::pipeline {

struct TokenizeOptions {
  std::string model;
  std::filesystem::path file;
  bool jsonl = false;       // the file holds rows {"text": ...}, lines or an array
  bool no_special = false;  // do not let the tokenizer add its special tokens
  bool decode = false;      // add what the ids decode to
};

struct TokenizedLine {
  std::string text;
  std::vector<tokenizer::TokenId> ids;
  std::string decoded;  // with `decode` only
};

// Calls `sink` for each line; returns how many there were.
std::int64_t tokenize(const TokenizeOptions& options,
                      const std::function<void(const TokenizedLine&)>& sink);

}  // namespace qloft::pipeline
