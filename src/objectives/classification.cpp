#include <ATen/TensorOperators.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/mse_loss.h>

#include <string>

#include "positions.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/objectives.h"

namespace qloft::objectives {
namespace {

using architecture::Problem;
using at::Tensor;

void expect_labels(bool fits, const Tensor& labels, const std::string& expected) {
  if (fits) return;
  throw InputError({{}, "labels"},
                   "expected " + expected + ", found " + shape_text(labels.sizes().vec()));
}

void expect_known(const Tensor& labels, std::int64_t count) {
  if (labels.numel() == 0) return;
  const auto low = labels.min().item<std::int64_t>(), high = labels.max().item<std::int64_t>();
  if (low >= 0 && high < count) return;
  throw InputError({{}, "labels"}, "expected labels below the head's " + std::to_string(count) +
                                       ", found " + std::to_string(low < 0 ? low : high));
}

}  // namespace

Loss classification(model::Model& model, const model::Input& input, const Tensor& labels) {
  return classification_of(model, model.scores(input), labels);
}

Loss classification_of(const model::Model& model, const Tensor& scores, const Tensor& labels) {
  const std::int64_t rows = scores.size(0), count = scores.size(1);
  const Tensor wanted = labels.to(scores.device());
  if (model.layout().head.problem == Problem::single_label) {
    expect_labels(labels.scalar_type() == at::kLong && labels.dim() == 1 && labels.size(0) == rows,
                  labels, "int64 " + shape_text({rows}));
    expect_known(labels, count);
    return {at::cross_entropy_loss(scores, wanted, {}, at::Reduction::Sum), rows};
  }
  const bool of_one = count == 1 && labels.dim() == 1 && labels.size(0) == rows;
  const bool of_each = labels.dim() == 2 && labels.size(0) == rows && labels.size(1) == count;
  expect_labels(labels.scalar_type() == at::kFloat && (of_one || of_each), labels,
                "f32 " + shape_text({rows, count}));
  const Tensor numbers = wanted.view({rows, count});
  const bool regression = model.layout().head.problem == Problem::regression;
  const Tensor sum = regression ? at::mse_loss(scores, numbers, at::Reduction::Sum)
                                : at::binary_cross_entropy_with_logits(scores, numbers, {}, {},
                                                                       at::Reduction::Sum);
  return {sum, rows * count};
}

Loss token_labels(model::Model& model, const model::Input& input, const Tensor& labels) {
  expect_mask_of(input, labels);
  const Tensor scores = model.scores(input);
  if (scores.dim() != 3 || !labels.defined()) {
    throw InputError({{}, "labels"}, "expected a model with a head for tokens, and their labels");
  }
  const Tensor flat = labels.to(scores.device()).flatten();
  const Tensor counted = flat.ge(0).nonzero().flatten();
  const Tensor wanted = flat.index_select(0, counted);
  expect_known(wanted, scores.size(2));
  const Tensor chosen = scores.reshape({-1, scores.size(2)}).index_select(0, counted);
  return {at::cross_entropy_loss(chosen, wanted, {}, at::Reduction::Sum), counted.size(0)};
}

}  // namespace qloft::objectives
