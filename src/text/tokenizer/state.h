#pragma once
// What a Tokenizer points to.

#include "qloft/text/tokenizer.h"
#include "tokenizer/pipeline.h"

namespace qloft::text {

struct Tokenizer::State : Pipeline {};

}  // namespace qloft::text
