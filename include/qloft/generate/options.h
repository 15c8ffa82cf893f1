#pragma once
// What a generation is asked for and gives back. No torch here.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/model/adapter_id.h"
#include "qloft/tokenizer.h"

namespace qloft::generate {

// Applied in transformers' order: repetition penalty, temperature, top-k, top-p, min-p.
struct Sampling {
  double temperature = 0;  // 0: greedy
  std::int64_t top_k = 0;  // 0: off
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;  // Keskar et al. 2019, over prompt and new ids
  std::uint64_t seed = 0;
  // Throws InputError naming the field that is out of range.
  void validate() const;
};

struct Options {
  Sampling sampling = {};
  std::int64_t max_tokens = 128;
  model::AdapterId adapter = model::kNoAdapter;
  bool ignore_eos = false;
  std::vector<std::string> stop = {};        // the text ends before the first of these
  std::vector<tokenizer::TokenId> eos = {};  // see end_tokens
};

enum class StopReason { length, eos, stop_string, interrupted };

struct Result {
  std::vector<tokenizer::TokenId> ids;  // the new ones, without eos
  std::string text;
  StopReason reason = StopReason::length;
};

// Called with each piece of text that is complete and cannot belong to a stop string; return false
// to stop.
using Sink = std::function<bool(std::string_view piece)>;

// A prompt to be continued.
struct Request {
  std::vector<tokenizer::TokenId> prompt;
  Options options;
  Sink sink = nullptr;
  std::uint64_t stream = 0;  // requests of one seed and different streams draw differently
};

}  // namespace qloft::generate
