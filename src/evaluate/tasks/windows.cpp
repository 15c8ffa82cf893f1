#include "tasks/windows.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <string>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/data/known_ids.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPositionsAtOnce = 2048;

}  // namespace

void check_windows(const WindowOptions& options, const fs::path& data, std::int64_t positions) {
  expect_at_least(2, options.window, "window");
  if (positions > 0 && options.window > positions) {
    throw InputError({{}, "window"}, "expected at most the model's " + std::to_string(positions) +
                                         " positions, found " + std::to_string(options.window));
  }
  if (!fs::is_regular_file(data)) throw InputError({data, {}}, "no such file");
}

at::Tensor Windows::rows(std::int64_t first, std::int64_t rows) const {
  at::Tensor out = at::empty({rows, window}, at::kLong);
  std::copy_n(ids.data() + first * window, rows * window, out.data_ptr<std::int64_t>());
  return out;
}

std::int64_t Windows::at_once() const {
  return std::max<std::int64_t>(1, kPositionsAtOnce / window);
}

Windows read_windows(const Materials& materials, const WindowOptions& options,
                     const fs::path& file) {
  auto ids = data::read_text_ids(file, materials.layout.vocabulary_size, materials.tokenizer);
  const std::int64_t count = std::ssize(ids) / options.window;
  if (count == 0) {
    throw InputError({file, {}}, "expected at least one window of " +
                                     std::to_string(options.window) + " tokens, found " +
                                     std::to_string(ids.size()));
  }
  return {file, std::move(ids), options.window,
          options.limit > 0 ? std::min(count, options.limit) : count};
}

}  // namespace qloft::evaluate
