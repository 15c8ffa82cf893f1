#include "norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/rsqrt.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "qloft/core.h"
#include "rows.h"
#include "tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The norm of each row of contiguous `in`, and one over its root mean square into `inverses`,
// unless null.
Tensor normalized(const Tensor& in, const Tensor& weight, double epsilon, float* inverses) {
  const std::int64_t n = in.size(-1);
  Tensor out = at::empty_like(in);
  const float* w = weight.data_ptr<float>();
  for_rows(in.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
    const float* from = read_row(in, row, n, buffers.a(n));
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(from[i]) * from[i];
    const auto r = static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(n) + epsilon));
    if (inverses != nullptr) inverses[row] = r;
    float* to = row_to_write(out, row, n, buffers.b(n));
    for (std::int64_t i = 0; i < n; ++i) to[i] = from[i] * r * w[i];
    write_row(out, row, n, to);
  });
  return out;
}

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        double epsilon) {
    const Tensor in = x.contiguous();
    Tensor inverse = at::empty({in.numel() / in.size(-1)}, at::kFloat);
    Tensor out = normalized(in, weight, epsilon, inverse.data_ptr<float>());
    ctx->save_for_backward({in, weight, inverse});
    ctx->saved_data["trains_weight"] = weight.requires_grad();
    return out;
  }

  // With xhat = x * r: dx = r * (w dy - xhat * mean(w dy xhat)), dw = sum over rows of dy xhat.
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &in = saved[0], &weight = saved[1];
    const float* inverses = saved[2].data_ptr<float>();
    const float* w = weight.data_ptr<float>();
    const std::int64_t n = in.size(-1);
    const std::int64_t rows = in.numel() / n;
    const Tensor dy = gradients[0].contiguous();
    Tensor dx = at::empty_like(in);
    for_rows(rows, n, [&](std::int64_t row, RowBuffers& buffers) {
      const float r = inverses[row];
      const float* x = read_row(in, row, n, buffers.a(n));
      const float* g = read_row(dy, row, n, buffers.b(n));
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(w[i] * g[i]) * x[i];
      const auto mean = static_cast<float>(sum * r / static_cast<double>(n));
      float* to = row_to_write(dx, row, n, buffers.c(n));
      for (std::int64_t i = 0; i < n; ++i) to[i] = r * (w[i] * g[i] - x[i] * r * mean);
      write_row(dx, row, n, to);
    });
    Tensor dweight;
    if (ctx->saved_data["trains_weight"].toBool()) {
      const Tensor r = saved[2].view({rows, 1});
      dweight = (as_f32(dy).view({rows, n}) * (as_f32(in).view({rows, n}) * r)).sum(0);
    }
    return {dx, dweight, Tensor()};
  }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, double epsilon) {
  if (x.is_cpu() && at::GradMode::is_enabled()) {
    return RmsNormFunction::apply(x, weight, epsilon);
  }
  if (x.is_cpu()) return normalized(x.contiguous(), weight, epsilon, nullptr);
  const Tensor x32 = x.to(at::kFloat);
  const Tensor r = at::rsqrt(x32.square().mean(-1, true) + epsilon);
  return (x32 * r * weight).to(x.scalar_type());
}

}  // namespace qloft::model
