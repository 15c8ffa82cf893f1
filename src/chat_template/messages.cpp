#include "messages.h"

#include <nlohmann/json.hpp>

namespace qloft::chat_template {
namespace {

io::Json prepare_message(const io::Json& message) {
  if (!message.is_object()) return message;
  io::Json given = io::Json::object();
  for (const auto& [name, value] : message.items()) {
    if (!value.is_null()) given[name] = value;
  }
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto reasoning = given.find(name);
    if (reasoning == given.end()) continue;
    // In transformers' order: a template may print a message's fields one by one.
    io::Json filled = {{"thinking", *reasoning}};
    filled.update(given);
    filled["reasoning_content"] = *reasoning;
    return filled;
  }
  return given;
}

}  // namespace

io::Json prepare_messages(const io::Json& messages) {
  if (!messages.is_array()) return messages;
  io::Json prepared = io::Json::array();
  for (const io::Json& message : messages) prepared.push_back(prepare_message(message));
  return prepared;
}

}  // namespace qloft::chat_template
