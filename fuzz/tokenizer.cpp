// Any bytes are a tokenizer.json, a tokenizer.model or an InputError; what is a tokenizer takes any
// text apart and gives a text back, or an InputError where an expression runs too long.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "pipeline.h"
#include "qloft/core/error.h"
#include "sentencepiece_file.h"
#include "unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    tokenizer::parse_sentencepiece(bytes, "input");
  } catch (const InputError&) {
  }
  try {
    const tokenizer::Pipeline pipeline =
        tokenizer::make_pipeline(io::parse_json(bytes, "input"), "input");
    for (const std::string_view sample :
         {std::string_view("The  naïve 12,345 <s>\r\n e\u0301 \xF0\x9F\x91\xA9 \xFF end "),
          bytes.substr(0, 256)}) {
      for (const tokenizer::TokenId id : pipeline.encode(sample, false)) {
        if (pipeline.token(id) == nullptr) __builtin_trap();
      }
      // A template may name an id that no token has, as one of a vocabulary with gaps.
      const auto ids = pipeline.encode(sample, true);
      for (const tokenizer::TokenId id : ids) {
        if (id < 0 || id >= pipeline.id_end()) __builtin_trap();
      }
      if (!tokenizer::is_valid_utf8(pipeline.decode(ids, false))) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  return 0;
}
