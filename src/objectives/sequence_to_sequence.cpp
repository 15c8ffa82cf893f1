#include <ATen/TensorOperators.h>

#include <string>

#include "qloft/core/error.h"
#include "qloft/objectives.h"

namespace qloft::objectives {
namespace {

using at::Tensor;

void expect_targets(const architecture::Layout& layout, const Tensor& labels) {
  if (layout.head.kind != architecture::HeadKind::sequence_to_sequence) {
    throw InputError({{}, "model_type"},
                     "expected an encoder-decoder that makes targets, found " + layout.family);
  }
  if (!labels.defined() || labels.dim() != 2 || labels.scalar_type() != at::kLong ||
      labels.size(1) == 0) {
    throw InputError({{}, "labels"}, "expected int64 [rows, length]");
  }
  const auto most = labels.numel() == 0 ? 0 : labels.max().item<std::int64_t>();
  if (most >= layout.vocabulary_size) {
    throw InputError({{}, "labels"}, "expected ids below the vocabulary's size of " +
                                         std::to_string(layout.vocabulary_size) + ", found " +
                                         std::to_string(most));
  }
}

}  // namespace

Tensor decoder_input(const architecture::Layout& layout, const Tensor& labels) {
  expect_targets(layout, labels);
  return model::moved_right(layout, labels);
}

Loss sequence_to_sequence(model::Model& model, const model::Source& source, const Tensor& labels,
                          double smoothing, const std::vector<model::AdapterId>& adapters) {
  model::Input input;
  input.ids = decoder_input(model.layout(), labels);
  input.adapters = adapters;
  input.source = source;
  if (smoothing < 0 || smoothing > 1) {
    throw InputError({{}, "smoothing"}, "expected a number from 0 to 1");
  }
  const Tensor flat = labels.to(at::kCPU).flatten();
  const Tensor positions = flat.ge(0).nonzero().flatten();
  const Tensor states = model.hidden(input);
  return {model.cross_entropy(states.view({-1, states.size(-1)}), positions,
                              flat.index_select(0, positions), adapters, labels.size(1), smoothing),
          positions.size(0)};
}

}  // namespace qloft::objectives
