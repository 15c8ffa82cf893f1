#pragma once
// A conversation to ids, with the assistant's answers marked.

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "row.h"

namespace qloft::data {

struct MarkedText {
  std::string text;
  // Bytes that the model is to produce: [first, second), ascending, apart from each other.
  std::vector<std::pair<std::size_t, std::size_t>> answers;
};

// True if the template prints a message whose content is an array of {"type": "text", "text": ...},
// and not the array itself.
bool takes_parts(const chat_template::ChatTemplate& chat);

// Renders the conversation and finds what counts in its loss. The assistant's messages: by the
// template's own {% generation %} blocks, one for each of them, or by rendering the conversation up
// to each answer and up to its end. Messages of other roles: their content. Either ends with what
// the template puts behind it (the end of turn). Unless `parts`, content in parts is joined by
// newlines. Throws InputError where the template fails, or where the answers cannot be told apart.
MarkedText render_conversation(const chat_template::ChatTemplate& chat,
                               const Conversation& conversation, bool parts);

// The ids of the whole text without added special tokens. As in transformers' assistant mask, a
// token that reaches over either edge of an answer counts.
Example encode_marked(const tokenizer::Tokenizer& tokenizer, const MarkedText& marked);

}  // namespace qloft::data
