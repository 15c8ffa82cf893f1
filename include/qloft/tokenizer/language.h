#pragma once
// The languages of mBART's tokenizers: the code of one stands beside a text, and a target is made
// in the language that its code names.
//
//   mBART (Liu et al. 2020)      X </s> code    a target begins with its code
//   mBART-50 (Tang et al. 2020)  code X </s>    a target begins with </s>, then its code
//
// As transformers' MBartTokenizer and MBart50Tokenizer, the code is that of src_lang in
// tokenizer_config.json, else en_XX, and a target's that of tgt_lang, else the same.

#include <string>
#include <string_view>

#include "qloft/tokenizer.h"

namespace qloft::tokenizer {

struct Language {
  TokenId code = 0;
  bool before = false;  // the text: mBART-50's
};

// Throws InputError naming `option` where the tokenizer has no languages, or not this one.
Language language_of(const Tokenizer& tokenizer, std::string_view code, const char* option);

// The same tokenizer for texts in that language, of source and target alike; of an empty code as it
// is. Throws as language_of.
Tokenizer in_language(const Tokenizer& tokenizer, std::string_view code, const char* option);

// That of targets: `code`, else the tokenizer's own target language, else as it is.
Tokenizer for_targets(const Tokenizer& tokenizer, std::string_view code, const char* option);

}  // namespace qloft::tokenizer
