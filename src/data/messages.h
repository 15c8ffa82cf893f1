#pragma once
// The messages of a conversation in the several shapes that data files have.

#include <string>

#include "row.h"

namespace qloft::data {

// Messages as chat templates take them: {"role", "content", ...}. ShareGPT's from and value become
// role and content, its names of roles (human, gpt, observation, function_call, ...) the usual
// ones. Null fields are left out at every depth, as TRL does it: tables fill columns up with them.
// Throws InputError naming the message by `field`.
io::Json read_messages(const io::Json& messages, const std::string& field, const RowLocation& at);

// Of each message that read_messages gave: does it count in the loss? The assistant's do, others
// where they say so.
std::vector<bool> messages_in_loss(const io::Json& messages, const std::string& field,
                                   const RowLocation& at);

// A member of a message that must be a text. Throws InputError naming the message by `field`.
std::string text_member(const io::Json& message, const char* name, const std::string& field,
                        const RowLocation& at);

// Without what is null in objects, at every depth.
io::Json without_nulls(const io::Json& value);

}  // namespace qloft::data
