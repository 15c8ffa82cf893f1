#pragma once
// OpenAssistant's conversations (Köpf et al. 2023), as its authors and others publish them.

#include <string_view>

#include "conversation.h"
#include "row.h"

namespace qloft::data {

// A tree of messages, {"text", "role": prompter or assistant, "rank", "replies"}, as the list of
// messages on its best path: of replies the one that was ranked best (0), the first where none was,
// from the prompt to the last answer. Throws InputError naming the reply that is not one.
io::Json best_path(const io::Json& prompt, const RowLocation& at);

// Whether a text is of openassistant-guanaco: "### Human: ...### Assistant: ...".
bool is_guanaco(std::string_view text);
// Its answers count in the loss, with what follows them up to the next turn.
MarkedText guanaco_turns(std::string_view text);

}  // namespace qloft::data
