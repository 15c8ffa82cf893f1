#pragma once
// generate: the next-token loop over a model with a key/value cache.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/generate/options.h"
#include "qloft/model.h"
#include "qloft/tokenizer.h"

namespace qloft::generate {

Result generate(model::Model& model, const tokenizer::Tokenizer& tokenizer,
                const std::vector<tokenizer::TokenId>& prompt, const Options& options,
                const Sink& sink = nullptr);

// Many prompts at once, left-padded, one cache: the same results as one by one (greedy: to the id).
std::vector<Result> generate_batch(model::Model& model, const tokenizer::Tokenizer& tokenizer,
                                   const std::vector<std::vector<tokenizer::TokenId>>& prompts,
                                   const Options& options);

// One conversation step at a time on a cache that is kept: the common prefix of the new prompt with
// what the cache holds is not computed again.
class Session {
 public:
  Session(model::Model& model, tokenizer::Tokenizer tokenizer, std::int64_t capacity);
  Result reply(const std::vector<tokenizer::TokenId>& whole_prompt, const Options& options,
               const Sink& sink = nullptr);
  // Forget everything that was computed (after another adapter was activated).
  void reset();

 private:
  model::Model* model_;
  tokenizer::Tokenizer tokenizer_;
  std::int64_t capacity_;
  std::shared_ptr<model::KeyValueCache> cache_;
  std::vector<tokenizer::TokenId> held_;
};

// Token ids that end a text: generation_config.json's eos_token_id (one or a list), else
// config.json's, else the tokenizer's.
std::vector<tokenizer::TokenId> end_tokens(const checkpoint::Checkpoint& source,
                                           const tokenizer::Tokenizer& tokenizer);

}  // namespace qloft::generate
