#include "sensitivity_text.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "draw_pairs.h"
#include "qloft/core/error.h"
#include "qloft/core/fingerprint.h"
#include "qloft/data/known_ids.h"

namespace qloft::pipeline {
namespace {

using Ids = std::vector<tokenizer::TokenId>;

at::Tensor rows_of_ids(const std::vector<Ids>& rows) {
  at::Tensor out = at::empty({std::ssize(rows), std::ssize(rows.front())}, at::kLong);
  auto* to = out.data_ptr<std::int64_t>();
  for (const Ids& row : rows) to = std::ranges::copy(row, to).out;
  return out;
}

MeasuredText pairs_of(const SensitivityOptions& o, const ModelInputs& model) {
  auto pairs = text_pairs(o.data, o.window, model);
  if (std::ssize(pairs) > o.windows) pairs.resize(static_cast<std::size_t>(o.windows));
  std::vector<Ids> sources, targets;
  for (const data::SequencePair& pair : pairs) sources.push_back(pair.source);
  for (data::Example& example :
       decoder_examples(train::SequencePairs(std::move(pairs)), model.files.layout())) {
    targets.push_back(std::move(example.ids));
  }
  return {rows_of_ids(targets), rows_of_ids(sources), {}};
}

MeasuredText windows_of(const SensitivityOptions& o, const ModelInputs& model) {
  const auto ids =
      data::read_text_ids(o.data, model.files.layout().vocabulary_size, model.tokenizer());
  const std::int64_t count = std::min(o.windows, std::ssize(ids) / o.window);
  if (count == 0) {
    throw InputError({o.data, {}}, "expected at least one window of " + std::to_string(o.window) +
                                       " tokens, found " + std::to_string(ids.size()));
  }
  at::Tensor out = at::empty({count, o.window}, at::kLong);
  std::copy_n(ids.begin(), count * o.window, out.data_ptr<std::int64_t>());
  return {out, {}, {}};
}

std::span<const std::byte> bytes_of_ids(const at::Tensor& ids) {
  return std::as_bytes(std::span(ids.const_data_ptr<std::int64_t>(), ids.numel()));
}

}  // namespace

MeasuredText read_measured_text(const SensitivityOptions& options, const ModelInputs& model) {
  MeasuredText out =
      model.files.layout().encoder ? pairs_of(options, model) : windows_of(options, model);
  std::uint64_t hash = mix(static_cast<std::uint64_t>(out.ids.size(0)), bytes_of_ids(out.ids));
  if (out.sources.defined()) hash = mix(hash, bytes_of_ids(out.sources));
  out.fingerprint = hex(hash);
  return out;
}

}  // namespace qloft::pipeline
