// Any bytes are a tokenizer.model or an InputError; what is one takes any text apart and gives a
// text back.

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/tokenizer.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  static const fuzz::Folder folder;
  const std::string_view bytes = fuzz::text(data, size);
  folder.write("tokenizer.model", bytes);
  try {
    const auto tokenizer = tokenizer::Tokenizer::load(folder.path());
    for (const std::string_view sample :
         {std::string_view("The  na\u00efve 12,345 <s>\r\n e\u0301 \xF0\x9F\x91\xA9 \xFF end "),
          bytes.substr(0, 256)}) {
      const auto ids = tokenizer.encode(sample);
      for (const tokenizer::TokenId id : ids) {
        if (id < 0 || id >= tokenizer.vocabulary_size()) __builtin_trap();
      }
      tokenizer.decode(ids);
    }
  } catch (const InputError&) {
  }
  return 0;
}
