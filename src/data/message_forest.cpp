#include "message_forest.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <utility>

#include "qloft/core/threads.h"
#include "qloft/io/fields.h"

namespace qloft::data {
namespace {

constexpr std::int64_t kNone = -1;

struct Message {
  std::string id, parent;                                 // no parent: a prompt
  double rank = std::numeric_limits<double>::infinity();  // lower is better; none comes last
};

std::vector<Message> read_messages(const Rows& rows) {
  std::vector<Message> out(static_cast<std::size_t>(rows.size()));
  parallel_for(rows.size(), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const io::Json json = rows.read(i);
      const io::Field row(json, rows.location(i));
      if (!json.is_object()) row.refuse("an object");
      row.at("role").choice({"prompter", "assistant"});
      row.at("text").string();
      Message& message = out[static_cast<std::size_t>(i)];
      message.id = row.at("message_id").string();
      message.parent = row.string("parent_id").value_or("");
      message.rank = row.number("rank").value_or(message.rank);
    }
  });
  return out;
}

[[noreturn]] void refuse(const Rows& rows, std::int64_t row, const char* field,
                         const std::string& message) {
  ErrorLocation at = rows.location(row);
  at.field += std::string(": ") + field;
  throw InputError(at, message);
}

// Which row each message replies to; kNone: it is a prompt.
std::vector<std::int64_t> find_parents(const Rows& rows, const std::vector<Message>& messages) {
  std::unordered_map<std::string, std::int64_t> by_id;
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    const auto [entry, fresh] = by_id.emplace(messages[static_cast<std::size_t>(i)].id, i);
    if (!fresh) {
      refuse(rows, i, "message_id",
             "expected another than that of " + rows.location(entry->second).field + ", found \"" +
                 entry->first + "\"");
    }
  }
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    const std::string& parent = messages[static_cast<std::size_t>(i)].parent;
    const auto found = by_id.find(parent);
    if (!parent.empty() && found == by_id.end()) {
      refuse(rows, i, "parent_id", "expected a message of this file, found \"" + parent + "\"");
    }
    out.push_back(parent.empty() ? kNone : found->second);
  }
  return out;
}

// Every message has a prompt above it.
void expect_no_cycle(const Rows& rows, const std::vector<std::int64_t>& parents) {
  std::vector<std::int64_t> walk(parents.size(), kNone);  // which one met a message first
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    for (std::int64_t at = i; at != kNone; at = parents[static_cast<std::size_t>(at)]) {
      std::int64_t& met = walk[static_cast<std::size_t>(at)];
      if (met == i)
        refuse(rows, at, "parent_id", "expected no reply to a message of its own (a cycle)");
      if (met != kNone) break;
      met = i;
    }
  }
}

}  // namespace

bool MessageForest::fits(const Rows& rows) {
  if (rows.size() == 0) return false;
  const io::Json first = rows.read(0);
  if (!first.is_object()) return false;
  const io::Field row(first, rows.location(0));
  return row.has("message_id") && row.has("role") && row.has("text") && !row.has("replies");
}

MessageForest::MessageForest(Rows rows) : rows_(std::move(rows)) {
  const std::vector<Message> messages = read_messages(rows_);
  const std::vector<std::int64_t> parents = find_parents(rows_, messages);
  expect_no_cycle(rows_, parents);
  std::vector<std::int64_t> best(messages.size(), kNone);  // of the replies to each
  for (std::int64_t i = 0; i < rows_.size(); ++i) {
    const std::int64_t parent = parents[static_cast<std::size_t>(i)];
    if (parent == kNone) continue;
    std::int64_t& chosen = best[static_cast<std::size_t>(parent)];
    const double rank = messages[static_cast<std::size_t>(i)].rank;
    if (chosen == kNone || rank < messages[static_cast<std::size_t>(chosen)].rank) chosen = i;
  }
  for (std::int64_t i = 0; i < rows_.size(); ++i) {
    if (parents[static_cast<std::size_t>(i)] != kNone) continue;
    auto& path = paths_.emplace_back();
    for (std::int64_t at = i; at != kNone; at = best[static_cast<std::size_t>(at)]) {
      path.push_back(at);
    }
  }
}

std::int64_t MessageForest::size() const {
  return std::ssize(paths_);
}

io::Json MessageForest::read(std::int64_t index) const {
  const auto& path = paths_[static_cast<std::size_t>(index)];
  io::Json below;
  for (auto row = path.rbegin(); row != path.rend(); ++row) {
    const io::Json whole = rows_.read(*row);
    io::Json message = {{"role", whole.at("role")}, {"text", whole.at("text")}};
    if (!below.is_null()) message["replies"] = io::Json::array({std::move(below)});
    below = std::move(message);
  }
  return {{"message_tree_id", rows_.read(path.front()).at("message_id")},
          {"prompt", std::move(below)}};
}

ErrorLocation MessageForest::location(std::int64_t index) const {
  return rows_.location(paths_[static_cast<std::size_t>(index)].front());
}

}  // namespace qloft::data
