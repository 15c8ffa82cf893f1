#pragma once
// generate: one engine that takes prompts at any time and gives each its next token, step by step.
// Generation, chat and batched evaluation stand on it.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "qloft/generate/options.h"
#include "qloft/model.h"
#include "qloft/tokenizer.h"

namespace qloft::generate {

enum class SequenceId : std::int64_t {};

// How many tokens of prompts a pass takes in at most, unless told otherwise.
inline constexpr std::int64_t kPromptTokens = 1024;

class Engine {
 public:
  // Both outlive the engine. A step takes in at most `prompt_tokens` tokens of prompts, so that
  // long ones neither hold up the other sequences nor need memory for all of their activations.
  Engine(model::Model& model, const tokenizer::Tokenizer& tokenizer,
         std::int64_t prompt_tokens = kPromptTokens);
  Engine(Engine&&) noexcept;
  ~Engine();

  // Starts a sequence. Throws InputError for a prompt or options that cannot be.
  SequenceId add(Request request);
  // Starts the next request of a finished sequence (a conversation): what its prompt has in common
  // with what the sequence holds, from the beginning, is not computed again where the adapter is
  // the same.
  void go_on(SequenceId id, Request request);
  // One pass of the model: every running sequence takes in its prompt, or a part of it, or gets its
  // next token. Returns the sequences that this finished.
  std::vector<SequenceId> step();

  // How many are not finished.
  std::int64_t running() const;
  bool finished(SequenceId id) const;
  // What a finished sequence has come to; of a running one, so far, but nothing of a beam search.
  const Result& result(SequenceId id) const;
  // The same, and after beam search the num_return_sequences best, best first.
  const std::vector<Result>& results(SequenceId id) const;
  // Ends and forgets a sequence, running or finished.
  void remove(SequenceId id);

 private:
  struct Sequence;
  Sequence& at(SequenceId id) const;

  model::Model* model_;
  const tokenizer::Tokenizer* tokenizer_;
  std::int64_t prompt_tokens_;
  std::int64_t next_id_ = 0;
  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;
};

// Throws InputError for a request that add refuses, before a model of this layout is loaded.
void check_request(const Request& request, const architecture::Layout& layout);

// One request by an engine of its own; the results as Engine::results has them.
std::vector<Result> generate_all(model::Model& model, const tokenizer::Tokenizer& tokenizer,
                                 Request request);
// The first of them.
Result generate(model::Model& model, const tokenizer::Tokenizer& tokenizer, Request request);

// The token that targets of an encoder-decoder begin with: decoder_start_token_id of
// generation_config.json, else of config.json and what the family has otherwise, else bos_token_id.
// Throws InputError where none says so.
tokenizer::TokenId target_start(const checkpoint::Checkpoint& source,
                                const architecture::Layout& layout);

// How targets begin in a language (qloft/tokenizer/language.h).
struct TargetStart {
  tokenizer::TokenId token = 0;
  std::optional<tokenizer::TokenId> forced_bos_token_id = {};  // the token behind it
};
// Of an empty code: target_start, and nothing forced. Throws InputError naming target_language for
// one that the tokenizer has not.
TargetStart target_start_in(const std::string& language, const checkpoint::Checkpoint& source,
                            const architecture::Layout& layout,
                            const tokenizer::Tokenizer& tokenizer);

// Token ids that end a text: generation_config.json's eos_token_id (one or a list), else
// config.json's, else the tokenizer's.
std::vector<tokenizer::TokenId> end_tokens(const checkpoint::Checkpoint& source,
                                           const tokenizer::Tokenizer& tokenizer);

}  // namespace qloft::generate
