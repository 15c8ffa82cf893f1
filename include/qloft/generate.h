#pragma once
// generate: the next-token loop over a model with a key/value cache.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/text/tokenizer.h"

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
  Sampling sampling;
  std::int64_t max_tokens = 128;
  bool ignore_eos = false;
  std::vector<std::string> stop;   // the text ends before the first of these
  std::vector<text::TokenId> eos;  // from generation_config.json, config.json or the tokenizer
};

enum class StopReason { length, eos, stop_string, interrupted };

struct Result {
  std::vector<text::TokenId> ids;  // the new ones, without eos
  std::string text;
  StopReason reason = StopReason::length;
};

// Called with each piece of text that is complete and cannot belong to a stop string; return false
// to stop.
using Sink = std::function<bool(std::string_view piece)>;

Result generate(model::Model& model, const text::Tokenizer& tokenizer,
                const std::vector<text::TokenId>& prompt, const Options& options,
                const Sink& sink = nullptr);

// Many prompts at once, left-padded, one cache: the same results as one by one (greedy: to the id).
std::vector<Result> generate_batch(model::Model& model, const text::Tokenizer& tokenizer,
                                   const std::vector<std::vector<text::TokenId>>& prompts,
                                   const Options& options);

// One conversation step at a time on a cache that is kept: the common prefix of the new prompt with
// what the cache holds is not computed again.
class Session {
 public:
  Session(model::Model& model, text::Tokenizer tokenizer, std::int64_t capacity);
  Result reply(const std::vector<text::TokenId>& whole_prompt, const Options& options,
               const Sink& sink = nullptr);
  // Forget everything that was computed (after another adapter was activated).
  void reset();

 private:
  model::Model* model_;
  text::Tokenizer tokenizer_;
  std::int64_t capacity_;
  std::shared_ptr<model::KeyValueCache> cache_;
  std::vector<text::TokenId> held_;
};

// Token ids that end a text: generation_config.json's eos_token_id (one or a list), else
// config.json's, else the tokenizer's.
std::vector<text::TokenId> end_tokens(const checkpoint::Checkpoint& source,
                                      const text::Tokenizer& tokenizer);

}  // namespace qloft::generate
