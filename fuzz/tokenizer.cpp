// Any bytes are a tokenizer.json, a tokenizer.model or an InputError; what is a tokenizer takes any
// text apart and gives a text back, or an InputError where an expression runs too long.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "folder_files.h"
#include "pipeline.h"
#include "qloft/core/error.h"
#include "sentencepiece_file.h"
#include "unicode.h"

namespace {

using namespace qloft;

// A pair of texts in windows: lists of one length, known ids, spans that do not run backwards.
void encode_pair(const tokenizer::Pipeline& pipeline, std::string_view text) {
  const std::string_view texts[] = {text, text.substr(text.size() / 2)};
  tokenizer::EncodeOptions options;
  options.truncation = tokenizer::Truncation::longest_first;
  options.max_length = 24;
  options.stride = 2;
  const auto check = [&](const tokenizer::Encoding& encoding) {
    const std::size_t size = encoding.ids.size();
    if (encoding.type_ids.size() != size || encoding.special.size() != size ||
        encoding.offsets.size() != size || encoding.sequence.size() != size) {
      __builtin_trap();
    }
    for (std::size_t i = 0; i < size; ++i) {
      if (encoding.ids[i] < 0 || encoding.ids[i] >= pipeline.id_end()) __builtin_trap();
      if (encoding.offsets[i].begin < 0) __builtin_trap();
    }
  };
  const tokenizer::Encoding encoding = pipeline.encode(texts, options);
  check(encoding);
  for (const tokenizer::Encoding& window : encoding.overflow) check(window);
}

void encode_unigram(std::string_view bytes) {
  const auto source = tokenizer::parse_sentencepiece(bytes, "input");
  if (source.model_type != tokenizer::SentencePieceFile::kUnigram) return;
  for (const char* type : {"t5", "deberta-v2", "xlm-roberta"}) {
    const auto pipeline = tokenizer::make_pipeline(
        tokenizer::unigram_json(source, "input", std::nullopt, type), "input");
    encode_pair(pipeline, "The  na\u00efve 12,345 \uFB01 </s> e\u0301");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    encode_unigram(bytes);
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
      encode_pair(pipeline, sample);
    }
  } catch (const InputError&) {
  }
  return 0;
}
