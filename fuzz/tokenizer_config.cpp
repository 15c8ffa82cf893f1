// Any bytes are a tokenizer_config.json or an InputError; the tokens that it declares and names are
// found in a text, and its chat template renders or refuses.

#include <nlohmann/json.hpp>

#include "qloft/chat_template.h"
#include "qloft/core/error.h"
#include "qloft/tokenizer.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  static const fuzz::Folder folder;
  static const bool written = (folder.write("tokenizer.json", fuzz::kTokenizer), true);
  (void)written;
  folder.write("tokenizer_config.json", fuzz::text(data, size));
  try {
    const auto tokenizer = tokenizer::Tokenizer::load(folder.path());
    for (const auto& [name, token] : tokenizer.special_tokens()) {
      const auto id = tokenizer.token_id(token);
      if (id && tokenizer.token(*id) != token) __builtin_trap();
    }
    tokenizer.decode(tokenizer.encode("ab <|end|>\xFF <mask> "), true);
    const auto chat = chat_template::ChatTemplate::load(folder.path(), tokenizer.special_tokens());
    if (chat) chat->render({{"user", "Hi"}}, true);
  } catch (const InputError&) {
  }
  return 0;
}
