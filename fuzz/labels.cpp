// Any bytes are texts with labels of a task, or of columns with any names, as .tsv, .csv or rows of
// JSON, or an InputError.

#include <cmath>

#include "qloft/core/error.h"
#include "qloft/data/labelled.h"
#include "qloft/data/named_columns.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  static const fuzz::Folder folder;
  for (const char* name : {"input.tsv", "input.csv", "input.jsonl"}) {
    folder.write(name, fuzz::text(data, size));
    for (const data::LabelTask& task : data::label_tasks()) {
      try {
        for (const data::LabelledText& text : data::read_labelled(task, folder.path() / name)) {
          if (text.second.has_value() != !task.second.empty()) __builtin_trap();
          if (!std::isfinite(text.label)) __builtin_trap();
          const bool place = text.label >= 0 && text.label == std::floor(text.label) &&
                             text.label < static_cast<double>(task.labels.size());
          if (!task.is_regression() && !place) __builtin_trap();
        }
      } catch (const InputError&) {
      }
    }
    try {
      const auto labels = data::labels_in({}, {folder.path() / name});
      for (const data::LabelledText& text : data::read_named({}, labels, folder.path() / name)) {
        if (text.first.empty() || !(text.label < static_cast<double>(labels.size()))) {
          __builtin_trap();
        }
      }
    } catch (const InputError&) {
    }
  }
  return 0;
}
