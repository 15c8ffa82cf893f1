#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "elementwise.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "rows.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The norm of each row of contiguous `in`, and one over its root mean square into `inverses`,
// unless null.
Tensor rms_normalized(const Tensor& in, const Tensor& weight, double epsilon, float offset,
                      float* inverses) {
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
    for (std::int64_t i = 0; i < n; ++i) to[i] = from[i] * r * (offset + w[i]);
    write_row(out, row, n, to);
  });
  return out;
}

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, double epsilon,
                        double offset) {
    const Tensor in = x.contiguous();
    Tensor inverse = at::empty({in.numel() / in.size(-1)}, at::kFloat);
    const auto shift = static_cast<float>(offset);
    Tensor out = rms_normalized(in, weight, epsilon, shift, inverse.data_ptr<float>());
    ctx->save_for_backward({in, weight, inverse});
    ctx->saved_data["trains_weight"] = weight.requires_grad();
    ctx->saved_data["offset"] = offset;
    return out;
  }

  // With xhat = x * r, w the weight and its offset: dx = r * (w dy - xhat * mean(w dy xhat)), dw =
  // sum over rows of dy xhat.
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &in = saved[0], &weight = saved[1];
    const float* inverses = saved[2].data_ptr<float>();
    const float* w = weight.data_ptr<float>();
    const auto offset = static_cast<float>(ctx->saved_data["offset"].toDouble());
    const std::int64_t n = in.size(-1);
    const std::int64_t rows = in.numel() / n;
    const Tensor dy = gradients[0].contiguous();
    Tensor dx = at::empty_like(in);
    for_rows(rows, n, [&](std::int64_t row, RowBuffers& buffers) {
      const float r = inverses[row];
      const float* x = read_row(in, row, n, buffers.a(n));
      const float* g = read_row(dy, row, n, buffers.b(n));
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        sum += static_cast<double>((offset + w[i]) * g[i]) * x[i];
      }
      const auto mean = static_cast<float>(sum * r / static_cast<double>(n));
      float* to = row_to_write(dx, row, n, buffers.c(n));
      for (std::int64_t i = 0; i < n; ++i) {
        to[i] = r * ((offset + w[i]) * g[i] - x[i] * r * mean);
      }
      write_row(dx, row, n, to);
    });
    Tensor dweight;
    if (ctx->saved_data["trains_weight"].toBool()) {
      const Tensor r = saved[2].view({rows, 1});
      dweight = (as_f32(dy).view({rows, n}) * (as_f32(in).view({rows, n}) * r)).sum(0);
    }
    return {dx, dweight, Tensor(), Tensor()};
  }
};

// The mean of each row and one over its standard deviation into `means` and `inverses`, unless
// null.
Tensor layer_normalized(const Tensor& in, const Tensor& weight, const Tensor& bias, double epsilon,
                        float* means, float* inverses) {
  const std::int64_t n = in.size(-1);
  Tensor out = at::empty_like(in);
  const float* w = weight.data_ptr<float>();
  const float* b = bias.defined() ? bias.data_ptr<float>() : nullptr;
  for_rows(in.numel() / n, n, [&](std::int64_t row, RowBuffers& buffers) {
    const float* from = read_row(in, row, n, buffers.a(n));
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += from[i];
    const double mean = sum / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) squares += (from[i] - mean) * (from[i] - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(n) + epsilon);
    const auto m = static_cast<float>(mean), r = static_cast<float>(1.0 / deviation);
    if (means != nullptr) means[row] = m;
    if (inverses != nullptr) inverses[row] = r;
    float* to = row_to_write(out, row, n, buffers.b(n));
    for (std::int64_t i = 0; i < n; ++i) to[i] = (from[i] - m) * r * w[i];
    for (std::int64_t i = 0; b != nullptr && i < n; ++i) to[i] += b[i];
    write_row(out, row, n, to);
  });
  return out;
}

struct LayerNormFunction : torch::autograd::Function<LayerNormFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight,
                        const MaybeTensor& bias_or_none, double epsilon) {
    const Tensor bias = bias_or_none.value_or(Tensor());
    const Tensor in = x.contiguous();
    Tensor mean = at::empty({in.numel() / in.size(-1)}, at::kFloat);
    Tensor inverse = at::empty_like(mean);
    Tensor out = layer_normalized(in, weight, bias, epsilon, mean.data_ptr<float>(),
                                  inverse.data_ptr<float>());
    ctx->save_for_backward({in, weight, mean, inverse});
    ctx->saved_data["trains_weight"] = weight.requires_grad();
    ctx->saved_data["trains_bias"] = bias.defined() && bias.requires_grad();
    return out;
  }

  // With xhat = (x - mean) r: dx = r * (w dy - mean(w dy) - xhat * mean(w dy xhat)).
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &in = saved[0], &weight = saved[1];
    const float* means = saved[2].data_ptr<float>();
    const float* inverses = saved[3].data_ptr<float>();
    const float* w = weight.data_ptr<float>();
    const std::int64_t n = in.size(-1), rows = in.numel() / n;
    const Tensor dy = gradients[0].contiguous();
    Tensor dx = at::empty_like(in);
    for_rows(rows, n, [&](std::int64_t row, RowBuffers& buffers) {
      const float m = means[row], r = inverses[row];
      const float* x = read_row(in, row, n, buffers.a(n));
      const float* g = read_row(dy, row, n, buffers.b(n));
      double sum = 0, product = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const double wg = static_cast<double>(w[i]) * g[i];
        sum += wg;
        product += wg * (x[i] - m);
      }
      const auto mean = static_cast<float>(sum / static_cast<double>(n));
      const auto slope = static_cast<float>(product * r * r / static_cast<double>(n));
      float* to = row_to_write(dx, row, n, buffers.c(n));
      for (std::int64_t i = 0; i < n; ++i) to[i] = r * (w[i] * g[i] - mean - (x[i] - m) * slope);
      write_row(dx, row, n, to);
    });
    Tensor dweight, dbias;
    const Tensor dy32 = as_f32(dy).view({rows, n});
    if (ctx->saved_data["trains_weight"].toBool()) {
      const Tensor centered = as_f32(in).view({rows, n}) - saved[2].view({rows, 1});
      dweight = (dy32 * (centered * saved[3].view({rows, 1}))).sum(0);
    }
    if (ctx->saved_data["trains_bias"].toBool()) dbias = dy32.sum(0);
    return {dx, dweight, dbias, Tensor()};
  }
};

}  // namespace

Tensor rms_norm_cpu(const Tensor& x, const Tensor& weight, double epsilon, double offset) {
  if (at::GradMode::is_enabled()) return RmsNormFunction::apply(x, weight, epsilon, offset);
  return rms_normalized(x.contiguous(), weight, epsilon, static_cast<float>(offset), nullptr);
}

Tensor layer_norm_cpu(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon) {
  if (at::GradMode::is_enabled()) return LayerNormFunction::apply(x, weight, maybe(bias), epsilon);
  return layer_normalized(x.contiguous(), weight, bias, epsilon, nullptr, nullptr);
}

}  // namespace qloft::backend
