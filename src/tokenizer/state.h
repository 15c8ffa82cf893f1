#pragma once
// What a Tokenizer points to.

#include <map>
#include <string>

#include "languages.h"
#include "pipeline.h"
#include "qloft/tokenizer.h"

namespace qloft::tokenizer {

struct Tokenizer::State : Pipeline {
  std::map<std::string, std::string> named = {};  // "eos_token" -> "</s>"
  Languages languages = {};
};

}  // namespace qloft::tokenizer
