#pragma once
// Stage: a prompt, or a conversation, continued.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/generate/options.h"
#include "qloft/generate/settings.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/pipeline/model_options.h"

namespace qloft::pipeline {

struct GenerateOptions {
  ModelOptions model;
  std::string prompt;
  std::filesystem::path prompt_file;  // in place of prompt
  // Of an encoder-decoder whose tokenizer has languages; empty: as the tokenizer and the model say.
  std::string source_language, target_language;
  bool chat = false;            // wrap the prompt as a user's message in the chat template
  generate::Settings settings;  // before those of the model's generation_config.json
  std::optional<std::int64_t> max_tokens;  // none: as there, else 128
  bool ignore_eos = false;
  std::vector<std::string> stop;
};

struct GenerateReport {
  Arithmetic arithmetic;        // without auto
  generate::Settings settings;  // that were in force
  std::vector<tokenizer::TokenId> prompt_ids;
  std::vector<generate::Result> results;  // num_return_sequences, best first
  double prompt_seconds = 0;              // until the first new token
  double seconds = 0;
};

GenerateReport generate(const GenerateOptions& options, const generate::Sink& sink,
                        Progress& progress);

struct ChatOptions {
  ModelOptions model;
  std::vector<std::string>
      adapters;  // further ones to switch to: NAME=DIR, or DIR (its last part is the name)
  std::string system;
  // Before those of the model's generation_config.json; a temperature that neither gives is 0.7,
  // and top_p 0.95.
  generate::Settings settings;
  std::int64_t max_tokens = 512;
  std::int64_t context = 4096;  // positions held; at most the model's
};

// A conversation by the checkpoint's own chat template, over a cache that is kept from turn to
// turn.
class Conversation {
 public:
  // Throws InputError if neither the checkpoint nor the adapter has a chat template.
  Conversation(const ChatOptions& options, Progress& progress);
  ~Conversation();

  // Adds the user's message, streams the reply to `sink` and keeps it.
  generate::Result say(const std::string& message, const generate::Sink& sink);
  // The adapters by name; "base" is the bare model.
  std::vector<std::string> adapters() const;
  const std::string& active_adapter() const;
  // Throws InputError with the known names.
  void switch_adapter(const std::string& name);
  // Forgets all messages but the system's.
  void clear();
  // What it computes in, without auto.
  const Arithmetic& arithmetic() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qloft::pipeline
