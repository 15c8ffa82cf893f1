#pragma once
// A row of a data file by its columns: a text, a prompt with its completion, or a conversation.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "qloft/data.h"

namespace qloft::data {

// Where a row stands; every complaint names it.
struct RowLocation {
  const ErrorLocation& at;

  [[noreturn]] void fail(std::string_view field, std::string_view message) const;
};

struct Text {
  std::string text;
};

struct Pair {
  std::string prompt, completion;
};

struct Conversation {
  // What the chat template sees: messages, tools, documents and chat_template_kwargs.
  io::Json variables;
  // For each message, whether it counts in the loss: the assistant's do, unless a message says
  // otherwise (train, training, weight, train_detail) or belongs to a prompt.
  std::vector<bool> in_loss;
};

struct RowContent {
  std::variant<Text, Pair, Conversation> form;
};

// The first form whose columns are all there and not null: messages; conversations (ShareGPT);
// message_tree_id and prompt (OpenAssistant's trees); prompt and completion, as texts or as
// messages; instruction, input and output (Alpaca), or context and response (Dolly); inputs and
// targets (FLAN); question and answer; text. Throws InputError naming file, line and field.
RowContent read_row(const io::Json& json, const RowLocation& at, const DataOptions& options);

// True where an object with these names has the columns of one of the forms.
bool has_a_form(const std::vector<std::string>& names);

// "an object", "a string", ...
std::string kind_of(const io::Json& value);

}  // namespace qloft::data
