#pragma once
// AdamW as torch.optim.AdamW computes it (amsgrad and maximize off), in one pass over the elements:
//
//   p <- p (1 - lr wd)
//   m <- b1 m + (1 - b1) g          v <- b2 v + (1 - b2) g^2
//   p <- p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//
// m and v are f32. A tensor in bf16 has an f32 master copy that takes the updates; the tensor is
// its rounding to nearest even. Weight decay falls on tensors of two or more dimensions, as
// transformers leaves norms and biases out. A tensor without a gradient is passed over.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "adamw_torch.h"

namespace qloft::train {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;
  // LoRA+ (Hayou et al. 2024, arXiv 2402.12354): the learning rate of an adapter's B, and of
  // tensors of one dimension, over that of all others, as PEFT's create_loraplus_optimizer groups
  // them but for factors of embeddings, which have no rate of their own here.
  double loraplus_lr_ratio = 1;
};

class AdamW {
 public:
  // The tensors are shared, not copied: f32 or bf16, contiguous.
  AdamW(const NamedTensors& tensors, const AdamWOptions& options);

  // The Euclidean norm of all gradients together. The same on any number of threads.
  double gradient_norm() const;
  // One update with every gradient multiplied by `gradient_scale`; the gradients are dropped.
  void step(double learning_rate, double gradient_scale);

  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

  // All that step() changes, shared: "NAME" itself, "NAME.exp_avg", "NAME.exp_avg_sq" and, for
  // bf16, "NAME.master".
  NamedTensors state() const;

 private:
  struct Slot : AdamWTensors {
    std::string name;
    bool decays = false;
    double rate_ratio = 1;  // times the learning rate
  };
  // A run of elements of one slot on the CPU: what a thread takes at a time.
  struct Chunk {
    std::size_t slot;
    std::int64_t begin, end;
  };

  at::Tensor gradient(const Slot& slot) const;
  AdamWRates rates(double learning_rate, double gradient_scale) const;
  static void update(const Slot& slot, const at::Tensor& gradient, std::int64_t begin,
                     std::int64_t end, const AdamWRates& rates);

  AdamWOptions options_;
  std::vector<Slot> slots_;
  std::vector<Chunk> chunks_;
  std::int64_t elements_ = 0;
  std::int64_t steps_ = 0;
};

// What gradients are multiplied by so that their norm is at most `clip`, as
// torch.nn.utils.clip_grad_norm_ does; clip 0: 1.
double clip_scale(double gradient_norm, double clip);

}  // namespace qloft::train
