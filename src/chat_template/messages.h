#pragma once
// What transformers does to a conversation before a template sees it.

#include "qloft/io.h"

namespace qloft::chat_template {

// The messages without their null fields, and with a message's reasoning under each name that
// templates read (reasoning_content, thinking), whichever of reasoning_content, thinking and
// reasoning it was given as.
io::Json prepare_messages(const io::Json& messages);

}  // namespace qloft::chat_template
