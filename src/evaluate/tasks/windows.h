#pragma once
// A text as windows: tokenized once as a whole with the tokenizer's special tokens, cut into
// consecutive windows, the incomplete last one dropped; within a window every token but the first
// is predicted.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "qloft/evaluate.h"
#include "tasks/row.h"

namespace qloft::evaluate {

struct WindowOptions {
  std::int64_t window = 1024;  // at most the model's positions
  std::int64_t limit = 0;
};

template <typename Visitor>
void visit_window_options(WindowOptions& o, Visitor& v) {
  v("--window", at_most(o.window, kMostTokens), "tokens a window");
  v("--limit", o.limit, kLimitHelp);
}

// Throws InputError for windows that a model of so many positions does not take, and no file.
void check_windows(const WindowOptions& options, const std::filesystem::path& data,
                   std::int64_t positions);

struct Windows {
  std::filesystem::path file;
  std::vector<tokenizer::TokenId> ids;
  std::int64_t window = 0;  // tokens of one
  std::int64_t count = 0;

  // int64 [rows, window]: the windows from `first` on.
  at::Tensor rows(std::int64_t first, std::int64_t rows) const;
  // Windows in one forward pass: enough to fill the products, little in memory.
  std::int64_t at_once() const;
};

// Throws InputError for a text of less than one window.
Windows read_windows(const Materials& materials, const WindowOptions& options,
                     const std::filesystem::path& file);

}  // namespace qloft::evaluate
