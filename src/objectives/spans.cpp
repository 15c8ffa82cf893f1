#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>

#include <limits>

#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/objectives.h"

namespace qloft::objectives {

using at::Tensor;

Loss spans(model::Model& model, const model::Input& input, const Tensor& starts,
           const Tensor& ends) {
  const std::int64_t rows = input.ids.size(0), length = input.ids.size(1);
  Tensor scores = model.scores(input);
  if (scores.dim() != 3 || scores.size(2) != 2) {
    throw InputError({{}, "architectures"}, "expected a model with a head for spans");
  }
  if (input.segments.defined()) {
    const Tensor padding = input.segments.lt(0).to(scores.device()).unsqueeze(2);
    scores = scores.masked_fill(padding, std::numeric_limits<float>::lowest());
  }
  Loss loss;
  for (const Tensor* places : {&starts, &ends}) {
    if (places->dim() != 1 || places->size(0) != rows || places->scalar_type() != at::kLong) {
      throw InputError({{}, "positions"}, "expected int64 " + shape_text({rows}) + ", found " +
                                              shape_text(places->sizes().vec()));
    }
    // As transformers: what lies outside takes a place behind the last and is left out.
    const Tensor wanted = places->to(scores.device()).clamp(0, length);
    const Tensor sum = at::cross_entropy_loss(scores.select(2, places == &starts ? 0 : 1), wanted,
                                              {}, at::Reduction::Sum, length);
    loss.sum = loss.sum.defined() ? loss.sum + sum : sum;
    loss.count += wanted.ne(length).sum().item<std::int64_t>();
  }
  return loss;
}

}  // namespace qloft::objectives
