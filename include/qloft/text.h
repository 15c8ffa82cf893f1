#pragma once
// text: text to ids to batches; tokenizers, chat templates and data sets as transformers does it.

#include "qloft/text/chat.h"
#include "qloft/text/data.h"
#include "qloft/text/tokenizer.h"
