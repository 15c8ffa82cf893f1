#include "messages.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "train_detail.h"

namespace qloft::data {
namespace {

constexpr std::pair<const char*, const char*> kRoles[] = {
    {"human", "user"},       {"gpt", "assistant"},          {"chatgpt", "assistant"},
    {"model", "assistant"},  {"bot", "assistant"},          {"function_call", "assistant"},
    {"observation", "tool"}, {"function_response", "tool"}, {"ipython", "tool"},
};

std::string role_of(const std::string& name) {
  for (const auto& [other, role] : kRoles) {
    if (name == other) return role;
  }
  return name;
}

// {"name": ..., "arguments": ...}, or a list of them, as a text of JSON.
io::Json tool_calls_of(const std::string& text, const std::string& field, const RowLocation& at) {
  const io::Json parsed = io::Json::parse(text, nullptr, false);
  const io::Json list = parsed.is_array() ? parsed : io::Json::array({parsed});
  io::Json calls = io::Json::array();
  for (const io::Json& call : list) {
    if (!call.is_object() || !call.contains("name")) {
      at.fail(field, "expected a call as JSON, {\"name\": ..., \"arguments\": ...}");
    }
    calls.push_back({{"type", "function"}, {"function", call}});
  }
  return calls;
}

// {"from": ..., "value": ...} to {"role": ..., "content": ...}; further fields stay.
io::Json from_sharegpt(const io::Json& message, const std::string& field, const RowLocation& at) {
  const std::string from = text_member(message, "from", field, at);
  io::Json out = {{"role", role_of(from)}};
  for (const auto& [name, value] : message.items()) {
    if (name == "from") continue;
    if (name != "value") {
      out[name] = value;
    } else if (from == "function_call" && value.is_string()) {
      out["tool_calls"] = tool_calls_of(value.get<std::string>(), field + ".value", at);
    } else {
      out["content"] = value;
    }
  }
  return out;
}

void check_content(const io::Json& message, const std::string& field, const RowLocation& at) {
  const auto content = message.find("content");
  if (content == message.end()) return;
  if (!content->is_string() && !content->is_array()) {
    at.fail(field + ".content",
            "expected a string or an array of parts, found " + kind_of(*content));
  }
  for (std::size_t i = 0; content->is_array() && i < content->size(); ++i) {
    const io::Json& part = (*content)[i];
    const bool text =
        part.is_string() || (part.is_object() && part.contains("text") && part["text"].is_string());
    if (!text) {
      at.fail(field + ".content[" + std::to_string(i) + "]",
              "expected a part with a text: only text is trained on");
    }
  }
}

// train, training (axolotl) and weight (OpenAI) say of one message whether it counts.
std::optional<bool> flag_of(const io::Json& message, const std::string& field,
                            const RowLocation& at) {
  for (const char* name : {"train", "training", "weight"}) {
    const auto flag = message.find(name);
    if (flag == message.end()) continue;
    if (flag->is_boolean()) return flag->get<bool>();
    if (flag->is_number() && (*flag == 0 || *flag == 1)) return *flag == 1;
    at.fail(field + "." + name, "expected true, false, 0 or 1, found " + flag->dump());
  }
  if (has_train_detail(message)) return true;
  return std::nullopt;
}

std::string name_of(const std::string& field, std::size_t index) {
  return field + "[" + std::to_string(index) + "]";
}

}  // namespace

std::string text_member(const io::Json& message, const char* name, const std::string& field,
                        const RowLocation& at) {
  const auto found = message.find(name);
  if (found == message.end()) at.fail(field, "expected a " + std::string(name) + ", found none");
  if (!found->is_string()) {
    at.fail(field + "." + name, "expected a string, found " + kind_of(*found));
  }
  return found->get<std::string>();
}

io::Json without_nulls(const io::Json& value) {
  if (value.is_array()) {
    io::Json out = io::Json::array();
    for (const io::Json& item : value) out.push_back(without_nulls(item));
    return out;
  }
  if (!value.is_object()) return value;
  io::Json out = io::Json::object();
  for (const auto& [name, item] : value.items()) {
    if (!item.is_null()) out[name] = without_nulls(item);
  }
  return out;
}

io::Json read_messages(const io::Json& messages, const std::string& field, const RowLocation& at) {
  if (!messages.is_array() || messages.empty()) {
    at.fail(field, "expected an array of messages, found " +
                       (messages.is_array() ? "an empty one" : kind_of(messages)));
  }
  io::Json out = io::Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string name = name_of(field, i);
    if (!messages[i].is_object()) {
      at.fail(name, "expected an object, found " + kind_of(messages[i]));
    }
    io::Json message = without_nulls(messages[i]);
    if (message.contains("from") && !message.contains("role")) {
      message = from_sharegpt(message, name, at);
    } else {
      message["role"] = role_of(text_member(message, "role", name, at));
    }
    check_content(message, name, at);
    out.push_back(std::move(message));
  }
  return out;
}

std::vector<bool> messages_in_loss(const io::Json& messages, const std::string& field,
                                   const RowLocation& at) {
  std::vector<bool> in_loss;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto flag = flag_of(messages[i], name_of(field, i), at);
    in_loss.push_back(flag.value_or(messages[i]["role"] == "assistant"));
  }
  return in_loss;
}

}  // namespace qloft::data
