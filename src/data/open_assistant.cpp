#include "open_assistant.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "messages.h"

namespace qloft::data {
namespace {

constexpr std::string_view kHuman = "### Human:", kAssistant = "### Assistant:";

// Lower is better; what was not ranked comes last.
double rank_of(const io::Json& message) {
  const auto found = message.find("rank");
  const bool ranked = found != message.end() && found->is_number();
  return ranked ? found->get<double>() : std::numeric_limits<double>::infinity();
}

}  // namespace

io::Json best_path(const io::Json& prompt, const RowLocation& at) {
  io::Json out = io::Json::array();
  std::string where = "prompt";
  std::size_t answered = 0;
  for (const io::Json* message = &prompt; message != nullptr;) {
    if (!message->is_object()) at.fail(where, "expected an object, found " + kind_of(*message));
    const std::string role = text_member(*message, "role", where, at);
    if (role != "prompter" && role != "assistant") {
      at.fail(where + ".role", "expected prompter or assistant, found '" + role + "'");
    }
    out.push_back({{"role", role == "prompter" ? "user" : "assistant"},
                   {"content", text_member(*message, "text", where, at)}});
    if (role == "assistant") answered = out.size();
    const auto replies = message->find("replies");
    const bool last = replies == message->end() || replies->is_null();
    if (!last && !replies->is_array()) {
      at.fail(where + ".replies", "expected an array, found " + kind_of(*replies));
    }
    message = nullptr;
    double best = 0;
    std::size_t chosen = 0;
    for (std::size_t i = 0; !last && i < replies->size(); ++i) {
      const io::Json& reply = (*replies)[i];
      const double rank = reply.is_object() ? rank_of(reply) : 0;
      if (message != nullptr && rank >= best) continue;
      message = &reply;
      best = rank;
      chosen = i;
    }
    where += ".replies[" + std::to_string(chosen) + "]";
  }
  if (answered == 0) at.fail("prompt.replies", "expected an answer, found none");
  while (out.size() > answered) out.erase(out.size() - 1);
  return out;
}

bool is_guanaco(std::string_view text) {
  return text.starts_with(kHuman) && text.find(kAssistant) != std::string_view::npos;
}

MarkedText guanaco_turns(std::string_view text) {
  MarkedText out{std::string(text), {}};
  for (std::size_t at = text.find(kAssistant); at != std::string_view::npos;) {
    const std::size_t begin = at + kAssistant.size();
    const std::size_t end = std::min(text.find(kHuman, begin), text.size());
    out.answers.emplace_back(begin, end);
    at = text.find(kAssistant, end);
  }
  return out;
}

}  // namespace qloft::data
