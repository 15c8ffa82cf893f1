#pragma once
// Conversations to text by the checkpoint's own chat template.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/io.h"

namespace qloft::text {

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
};

// A Jinja template as chat templates use it (transformers' apply_chat_template: trim_blocks and
// lstrip_blocks on, raise_exception, strftime_now, tojson, namespace, loop controls, string
// methods).
class ChatTemplate {
 public:
  // chat_template.jinja, or chat_template in tokenizer_config.json; nullopt where the checkpoint
  // has none. bos_token and eos_token are passed to the template. Throws InputError with line and
  // column on a syntax error.
  static std::optional<ChatTemplate> load(const std::filesystem::path& model_folder);
  explicit ChatTemplate(std::string_view source, std::string bos = {}, std::string eos = {});

  // Throws InputError when the template itself refuses (raise_exception) or fails.
  std::string render(const std::vector<Message>& messages, bool add_generation_prompt) const;
  // Any variables: {"messages": ..., "tools": ..., "add_generation_prompt": ...}.
  std::string render(const io::Json& variables) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace qloft::text
