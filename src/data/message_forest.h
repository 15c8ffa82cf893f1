#pragma once
// OpenAssistant's conversations as the hub has them: a message a row, {"message_id", "parent_id",
// "role": prompter or assistant, "text", "rank"}, in any order.

#include <cstdint>
#include <vector>

#include "qloft/data/rows.h"

namespace qloft::data {

class MessageForest {
 public:
  // Whether the first of the rows is such a message.
  static bool fits(const Rows& rows);

  // Finds the trees and the best path of each, as best_path chooses it. Throws InputError naming
  // the row whose parent is missing, whose id another has, or that is its own ancestor.
  explicit MessageForest(Rows rows);

  std::int64_t size() const;  // trees, in the order of their prompts
  // The best path of one, as a tree with a reply each.
  io::Json read(std::int64_t index) const;
  // Of its prompt.
  ErrorLocation location(std::int64_t index) const;

 private:
  Rows rows_;
  std::vector<std::vector<std::int64_t>> paths_;  // of rows
};

}  // namespace qloft::data
