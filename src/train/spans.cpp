#include "qloft/train/spans.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/fingerprint.h"
#include "qloft/objectives.h"
#include "score_batches.h"
#include "typed_sequences.h"

namespace qloft::train {

using at::Tensor;

Spans::Spans(std::vector<data::SpanWindow> windows)
    : windows_(std::make_shared<const std::vector<data::SpanWindow>>(std::move(windows))) {}

std::int64_t Spans::size() const {
  return std::ssize(*windows_);
}

const data::SpanWindow& Spans::operator[](std::int64_t place) const {
  return (*windows_)[static_cast<std::size_t>(place)];
}

Examples Spans::examples() const {
  return examples_of(*windows_, 2);
}

std::uint64_t Spans::fingerprint() const {
  std::uint64_t hash = 0;
  for (const data::SpanWindow& window : *windows_) {
    hash = mix(hash, std::as_bytes(std::span(&window.start, 1)));
    hash = mix(hash, std::as_bytes(std::span(&window.end, 1)));
    hash = mix(hash, std::as_bytes(std::span(window.types)));
  }
  return hash;
}

model::Input Spans::input(const std::vector<std::int64_t>& places, const model::Model& model,
                          model::AdapterId adapter) const {
  return padded_input(*windows_, places, model, adapter);
}

Objective Spans::objective() const {
  return [spans = *this](model::Model& model, const Batch& batch) {
    std::vector<std::int64_t> starts, ends;
    for (const std::int64_t place : batch.examples) {
      starts.push_back(spans[place].start);
      ends.push_back(spans[place].end);
    }
    return objectives::spans(model,
                             spans.input(batch.examples, model, batch.input.adapters.front()),
                             at::tensor(starts, at::kLong), at::tensor(ends, at::kLong));
  };
}

namespace {

std::vector<float> first_of(const Tensor& values, std::size_t count) {
  const auto* first = values.data_ptr<float>();
  return {first, first + count};
}

}  // namespace

std::vector<SpanScores> span_scores(model::Model& model, model::AdapterId adapter,
                                    const Spans& spans, std::int64_t batch,
                                    const std::string& stage, Progress& progress) {
  std::vector<SpanScores> out(static_cast<std::size_t>(spans.size()));
  const auto score = [&](const std::vector<std::int64_t>& places) {
    // [2, rows, length]
    const Tensor scores =
        model.scores(spans.input(places, model, adapter)).cpu().permute({2, 0, 1}).contiguous();
    for (std::int64_t row = 0; row < std::ssize(places); ++row) {
      const std::int64_t place = places[static_cast<std::size_t>(row)];
      SpanScores& one = out[static_cast<std::size_t>(place)];
      one.starts = first_of(scores[0][row], spans[place].ids.size());
      one.ends = first_of(scores[1][row], spans[place].ids.size());
      const auto finite = [](float value) { return std::isfinite(value); };
      if (!std::ranges::all_of(one.starts, finite) || !std::ranges::all_of(one.ends, finite)) {
        throw ComputationError({{}, stage}, "a score of the head is not finite");
      }
    }
  };
  score_batches(model, lengths_of(spans), batch, stage, "windows", progress, score);
  return out;
}

}  // namespace qloft::train
