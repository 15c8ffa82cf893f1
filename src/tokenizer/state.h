#pragma once
// What a Tokenizer points to.

#include "pipeline.h"
#include "qloft/tokenizer.h"

namespace qloft::tokenizer {

struct Tokenizer::State : Pipeline {};

}  // namespace qloft::tokenizer
