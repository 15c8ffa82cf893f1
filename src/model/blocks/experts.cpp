#include "experts.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>

#include <map>

#include "mlp.h"

namespace qloft::model {
namespace {

using architecture::Experts;
using at::Tensor;

// The tokens that chose an expert, and where their weights stand among all choices.
struct Choice {
  std::vector<std::int64_t> tokens, weights;
};

std::map<std::int64_t, Choice> choices_of(const Tensor& chosen) {
  const Tensor ids = chosen.to(at::kCPU).contiguous();
  const std::int64_t* values = ids.data_ptr<std::int64_t>();
  const std::int64_t each = ids.size(1);
  std::map<std::int64_t, Choice> out;
  for (std::int64_t i = 0; i < ids.numel(); ++i) {
    out[values[i]].tokens.push_back(i / each);
    out[values[i]].weights.push_back(i);
  }
  return out;
}

}  // namespace

Tensor forward(const Pass& pass, const Experts& experts, const Tensor& x) {
  const Tensor flat = x.reshape({-1, x.size(-1)});
  const Tensor scores = apply(pass, experts.router, flat);
  const Tensor probabilities = at::softmax(scores.to(at::kFloat), -1);
  auto [weights, chosen] = at::topk(probabilities, experts.chosen, -1);
  if (experts.normalized) weights = weights / weights.sum(-1, true);
  const Tensor all_weights = weights.flatten().to(x.scalar_type());

  Tensor out = at::zeros_like(flat);
  for (const auto& [expert, choice] : choices_of(chosen)) {
    const Tensor tokens = at::tensor(choice.tokens, at::kLong).to(x.device());
    const Tensor weight =
        all_weights.index_select(0, at::tensor(choice.weights, at::kLong).to(x.device()));
    const auto& mlp = experts.experts[static_cast<std::size_t>(expert)];
    const Tensor y = forward(over_tokens(pass, tokens), mlp, flat.index_select(0, tokens));
    out = out.index_add(0, tokens, y * weight.unsqueeze(1));
  }
  if (experts.shared) {
    const Tensor gate = apply(pass, experts.shared_gate, flat).sigmoid();
    out = out + gate * forward(pass, *experts.shared, flat);
  }
  return out.view(x.sizes());
}

}  // namespace qloft::model
