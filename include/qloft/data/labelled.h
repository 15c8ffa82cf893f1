#pragma once
// Texts with labels, as tasks of classification and regression publish them.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/tokenizer.h"

namespace qloft::data {

// Where a task's texts and labels stand in its files. Of several names the first that a file has
// counts.
struct LabelTask {
  std::string name;                 // "sst2"
  std::string title;                // "SST-2"
  std::vector<std::string> first;   // columns of the text
  std::vector<std::string> second;  // of the text that it is held against; empty: there is none
  std::vector<std::string> label;
  std::vector<std::string> labels;   // their names, in the order of a head; empty: numbers
  std::vector<std::string> aliases;  // other names of them, in this order
  std::vector<std::string> columns;  // of files without a line of names
  bool is_regression() const { return labels.empty(); }
};

// GLUE's (Wang et al. 2019) and ANLI (Nie et al. 2020), in their own files and as JSON of the hub.
inline constexpr std::size_t kLabelTasks = 11;
const std::vector<LabelTask>& label_tasks();
// nullptr where none has this name.
const LabelTask* find_label_task(std::string_view name);

struct LabelledText {
  std::string first;
  std::optional<std::string> second;
  double label = 0;  // the place of its name, or the number
  ErrorLocation where;
};

// A label is a name, or its place. Throws InputError naming file, line and column for a column that
// is missing or a label that the task lacks.
std::vector<LabelledText> read_labelled(const LabelTask& task, const std::filesystem::path& file);

// One sequence of at least two ids, with the type of each and its label.
struct LabelledExample {
  std::vector<tokenizer::TokenId> ids;
  std::vector<std::int32_t> types;
  double label = 0;
  bool truncated = false;
};

// With the tokenizer's special tokens, a pair of texts as one sequence, the longer one cut first
// where both are longer than `max_length`. On all threads. Throws InputError naming the place of a
// text with an id that is not below `vocabulary_size`, or of fewer than two ids.
std::vector<LabelledExample> encode_labelled(const std::vector<LabelledText>& texts,
                                             const tokenizer::Tokenizer& tokenizer,
                                             std::int64_t max_length, std::int64_t vocabulary_size);

}  // namespace qloft::data
