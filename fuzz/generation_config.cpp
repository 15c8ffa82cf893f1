// Any bytes are a generation_config.json or an InputError; the ends that it names are tokens.

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/data/end_tokens.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  static const fuzz::Folder folder;
  static const auto tokenizer = [] {
    folder.write("tokenizer.json", fuzz::kTokenizer);
    return tokenizer::Tokenizer::load(folder.path());
  }();
  folder.write("generation_config.json", fuzz::text(data, size));
  try {
    for (const tokenizer::TokenId id : data::end_tokens(folder.path(), tokenizer).ids) {
      if (id < 0) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  return 0;
}
