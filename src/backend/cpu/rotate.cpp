#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "elementwise.h"
#include "rows.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x * cos + rotate_half(x) * (direction * sin), with cos and sin the same in both halves.
Tensor rotated(const Tensor& x, const Tensor& cosine, const Tensor& sine, float direction) {
  const Tensor in = x.contiguous();
  Tensor out = at::empty_like(in);
  const std::int64_t heads = in.size(2);
  const std::int64_t dim = in.size(3);
  const std::int64_t half = cosine.size(-1);
  const float* cosines = cosine.data_ptr<float>();
  const float* sines = sine.data_ptr<float>();
  for_rows(in.size(0) * in.size(1), heads * dim, [&](std::int64_t row, RowBuffers& buffers) {
    const float* c = cosines + row * half;
    const float* s = sines + row * half;
    const float* from = read_row(in, row, heads * dim, buffers.a(heads * dim));
    float* to = row_to_write(out, row, heads * dim, buffers.b(heads * dim));
    for (std::int64_t head = 0; head < heads; ++head) {
      const float* first = from + head * dim;
      const float* second = first + half;
      float* out_first = to + head * dim;
      float* out_second = out_first + half;
      for (std::int64_t i = 2 * half; i < dim; ++i) out_first[i] = first[i];
      for (std::int64_t i = 0; i < half; ++i) {
        const float sin = direction * s[i];
        out_first[i] = first[i] * c[i] - second[i] * sin;
        out_second[i] = second[i] * c[i] + first[i] * sin;
      }
    }
    write_row(out, row, heads * dim, to);
  });
  return out;
}

// The transpose of a rotation is the rotation back.
struct RotateFunction : torch::autograd::Function<RotateFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& cosine,
                        const Tensor& sine) {
    ctx->save_for_backward({cosine, sine});
    return rotated(x, cosine, sine, 1.f);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const auto saved = ctx->get_saved_variables();
    return {rotated(gradients[0], saved[0], saved[1], -1.f), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor rotate_cpu(const Tensor& x, const Rotation& rotation) {
  if (at::GradMode::is_enabled()) {
    return RotateFunction::apply(x, rotation.cosine, rotation.sine);
  }
  return rotated(x, rotation.cosine, rotation.sine, 1.f);
}

}  // namespace qloft::backend
