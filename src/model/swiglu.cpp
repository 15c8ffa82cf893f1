#include "swiglu.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>

#include "qloft/kernels/dense.h"
#include "rows.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Of contiguous tensors.
Tensor gated(const Tensor& gate, const Tensor& up) {
  Tensor out = at::empty_like(gate);
  const std::int64_t n = gate.size(-1);
  for_rows(gate.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
    const float* g = read_row(gate, row, n, buffers.a(n));
    const float* u = read_row(up, row, n, buffers.b(n));
    float* to = row_to_write(out, row, n, buffers.c(n));
    kernels::dense_table().swiglu(g, u, n, to);
    write_row(out, row, n, to);
  });
  return out;
}

struct SwiGluFunction : torch::autograd::Function<SwiGluFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& gate_in, const Tensor& up_in) {
    const Tensor gate = gate_in.contiguous();
    const Tensor up = up_in.contiguous();
    Tensor out = gated(gate, up);
    ctx->save_for_backward({gate, up});
    return out;
  }

  // With s = sigmoid(g): d gate = dy u s (1 + g (1 - s)), d up = dy g s.
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &gate = saved[0], &up = saved[1];
    const Tensor dy = gradients[0].contiguous();
    Tensor dgate = at::empty_like(gate);
    Tensor dup = at::empty_like(up);
    const std::int64_t n = gate.size(-1);
    for_rows(gate.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
      const float* g = read_row(gate, row, n, buffers.a(n));
      const float* u = read_row(up, row, n, buffers.b(n));
      const float* d = read_row(dy, row, n, buffers.c(n));
      float* to_gate = row_to_write(dgate, row, n, buffers.d(n));
      float* to_up = row_to_write(dup, row, n, buffers.e(n));
      kernels::dense_table().swiglu_gradient(g, u, d, n, to_gate, to_up);
      write_row(dgate, row, n, to_gate);
      write_row(dup, row, n, to_up);
    });
    return {dgate, dup};
  }
};

}  // namespace

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  if (gate.is_cpu() && at::GradMode::is_enabled()) return SwiGluFunction::apply(gate, up);
  if (gate.is_cpu()) return gated(gate.contiguous(), up.contiguous());
  return at::silu(gate) * up;
}

}  // namespace qloft::model
