#include "row.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "messages.h"
#include "open_assistant.h"
#include "qloft/core/error.h"

namespace qloft::data {
namespace {

bool has(const io::Json& row, const char* column) {
  const auto found = row.find(column);
  return found != row.end() && !found->is_null();
}

std::string text_of(const io::Json& row, const char* column, const RowLocation& at) {
  const io::Json& value = row.at(column);
  if (!value.is_string()) at.fail(column, "expected a string, found " + kind_of(value));
  return value.get<std::string>();
}

// tools may be a text of JSON.
io::Json tools_of(const io::Json& row, const RowLocation& at) {
  if (!has(row, "tools")) return nullptr;
  io::Json tools = row.at("tools");
  if (tools.is_string()) {
    const std::string& text = tools.get_ref<const std::string&>();
    if (text.empty()) return nullptr;
    tools = io::Json::parse(text, nullptr, false);
  }
  if (!tools.is_array()) at.fail("tools", "expected an array of functions, as it is or as JSON");
  return without_nulls(tools);
}

Conversation conversation_of(const io::Json& row, io::Json messages, std::vector<bool> in_loss,
                             const RowLocation& at) {
  Conversation conversation;
  conversation.in_loss = std::move(in_loss);
  conversation.variables = io::Json::object();
  if (has(row, "chat_template_kwargs")) {
    const io::Json& more = row.at("chat_template_kwargs");
    if (!more.is_object()) at.fail("chat_template_kwargs", "expected an object");
    conversation.variables = more;
  }
  conversation.variables["messages"] = std::move(messages);
  conversation.variables["tools"] = tools_of(row, at);
  conversation.variables["documents"] =
      has(row, "documents") ? without_nulls(row.at("documents")) : io::Json(nullptr);
  return conversation;
}

RowContent read_conversation(const io::Json& row, const char* column, const RowLocation& at) {
  io::Json messages = read_messages(row.at(column), column, at);
  std::vector<bool> in_loss = messages_in_loss(messages, column, at);
  // ShareGPT files may have the system's message in a column of its own.
  if (has(row, "system") && row["system"].is_string() &&
      !row["system"].get_ref<const std::string&>().empty() && messages[0]["role"] != "system") {
    messages.insert(messages.begin(), io::Json{{"role", "system"}, {"content", row["system"]}});
    in_loss.insert(in_loss.begin(), false);
  }
  return {conversation_of(row, std::move(messages), std::move(in_loss), at)};
}

RowContent read_messages_column(const io::Json& row, const RowLocation& at, const DataOptions&) {
  return read_conversation(row, "messages", at);
}

RowContent read_conversations_column(const io::Json& row, const RowLocation& at,
                                     const DataOptions&) {
  return read_conversation(row, "conversations", at);
}

RowContent read_prompt(const io::Json& row, const RowLocation& at, const DataOptions&) {
  if (!row.at("prompt").is_array() && !row.at("completion").is_array()) {
    return {Pair{text_of(row, "prompt", at), text_of(row, "completion", at)}};
  }
  io::Json messages = read_messages(row.at("prompt"), "prompt", at);
  const io::Json completion = read_messages(row.at("completion"), "completion", at);
  std::vector<bool> in_loss(messages.size(), false);
  for (const bool counts : messages_in_loss(completion, "completion", at)) {
    in_loss.push_back(counts);
  }
  for (const io::Json& message : completion) messages.push_back(message);
  return {conversation_of(row, std::move(messages), std::move(in_loss), at)};
}

// The prompt that Alpaca's data came with (Taori et al. 2023).
RowContent of_alpaca(const io::Json& row, const char* context, const char* answer,
                     const RowLocation& at) {
  const std::string input = has(row, context) ? text_of(row, context, at) : std::string();
  std::string prompt = "Below is an instruction that describes a task";
  if (!input.empty()) prompt += ", paired with an input that provides further context";
  prompt += ". Write a response that appropriately completes the request.\n\n### Instruction:\n" +
            text_of(row, "instruction", at);
  if (!input.empty()) prompt += "\n\n### Input:\n" + input;
  return {Pair{prompt + "\n\n### Response:\n", text_of(row, answer, at)}};
}

RowContent read_alpaca(const io::Json& row, const RowLocation& at, const DataOptions&) {
  return of_alpaca(row, "input", "output", at);
}

RowContent read_dolly(const io::Json& row, const RowLocation& at, const DataOptions&) {
  return of_alpaca(row, "context", "response", at);
}

RowContent read_flan(const io::Json& row, const RowLocation& at, const DataOptions&) {
  return {Pair{text_of(row, "inputs", at), text_of(row, "targets", at)}};
}

RowContent read_tree(const io::Json& row, const RowLocation& at, const DataOptions&) {
  io::Json messages = best_path(row.at("prompt"), at);
  std::vector<bool> in_loss = messages_in_loss(messages, "prompt", at);
  return {conversation_of(row, std::move(messages), std::move(in_loss), at)};
}

RowContent read_question(const io::Json& row, const RowLocation& at, const DataOptions& options) {
  return {Pair{question_prompt(text_of(row, "question", at), options),
               question_completion(text_of(row, "answer", at), options)}};
}

RowContent read_text(const io::Json& row, const RowLocation& at, const DataOptions&) {
  return {Text{text_of(row, "text", at)}};
}

struct Form {
  std::vector<const char*> columns;
  RowContent (*read)(const io::Json&, const RowLocation&, const DataOptions&);
};

const std::vector<Form>& forms() {
  static const std::vector<Form> table = {
      {{"messages"}, read_messages_column},
      {{"conversations"}, read_conversations_column},
      {{"message_tree_id", "prompt"}, read_tree},
      {{"prompt", "completion"}, read_prompt},
      {{"instruction", "output"}, read_alpaca},
      {{"instruction", "response"}, read_dolly},
      {{"inputs", "targets"}, read_flan},
      {{"question", "answer"}, read_question},
      {{"text"}, read_text},
  };
  return table;
}

}  // namespace

void RowLocation::fail(std::string_view field, std::string_view message) const {
  std::string where = at.field;
  if (!field.empty()) where += (where.empty() ? "" : ": ") + std::string(field);
  throw InputError({at.file, where}, message);
}

std::string kind_of(const io::Json& value) {
  switch (value.type()) {
    case io::Json::value_t::null:
      return "null";
    case io::Json::value_t::object:
      return "an object";
    case io::Json::value_t::array:
      return "an array";
    case io::Json::value_t::string:
      return "a string";
    case io::Json::value_t::boolean:
      return "a boolean";
    default:
      return "a number";
  }
}

bool has_a_form(const std::vector<std::string>& names) {
  return std::ranges::any_of(forms(), [&](const Form& form) {
    return std::ranges::all_of(form.columns, [&](const char* column) {
      return std::ranges::find(names, column) != names.end();
    });
  });
}

RowContent read_row(const io::Json& json, const RowLocation& at, const DataOptions& options) {
  if (!json.is_object()) at.fail({}, "expected an object, found " + kind_of(json));
  for (const Form& form : forms()) {
    const bool fits = std::all_of(form.columns.begin(), form.columns.end(),
                                  [&](const char* column) { return has(json, column); });
    if (fits) return form.read(json, at, options);
  }
  at.fail(
      {},
      "expected \"messages\", \"conversations\", \"message_tree_id\" and \"prompt\", \"prompt\" "
      "and "
      "\"completion\", \"instruction\" and \"output\" or \"response\", \"inputs\" and \"targets\", "
      "\"question\" and \"answer\", or \"text\"; found none of them");
}

}  // namespace qloft::data
