#include "optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "qloft/core/element.h"
#include "qloft/core/error.h"
#include "qloft/core/threads.h"

namespace qloft::train {
namespace {

constexpr std::int64_t kChunk = 16384;
// Below this many elements waking other threads costs more than it saves.
constexpr std::int64_t kSerial = 65536;

float load(const float* values, std::int64_t i) {
  return values[i];
}
float load(const BFloat16* values, std::int64_t i) {
  return values[i].to_float();
}

template <typename T>
double sum_of_squares(const T* values, std::int64_t begin, std::int64_t end) {
  // Eight partial sums, so that the loop does not wait for its own additions.
  double sums[8] = {};
  std::int64_t i = begin;
  for (; i + 8 <= end; i += 8) {
    for (int lane = 0; lane < 8; ++lane) {
      const double value = load(values, i + lane);
      sums[lane] += value * value;
    }
  }
  for (; i < end; ++i) {
    const double value = load(values, i);
    sums[0] += value * value;
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

const BFloat16* as_bfloat16(const at::Tensor& tensor) {
  return reinterpret_cast<const BFloat16*>(tensor.data_ptr<at::BFloat16>());
}

// [[gnu::optimize]]: errno of sqrt keeps the compiler from using vector square roots.
template <typename Gradient>
[[gnu::optimize("O3", "no-math-errno", "no-trapping-math")]] void update_elements(
    float* __restrict parameter, BFloat16* __restrict rounded, const Gradient* __restrict gradient,
    float* __restrict first, float* __restrict second, std::int64_t count, float kept,
    const AdamWRates& rates) {
  const AdamWRates r = rates;
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = load(gradient, i) * r.gradient_scale;
    const float m = r.beta1 * first[i] + r.one_minus_beta1 * g;
    const float v = r.beta2 * second[i] + r.one_minus_beta2 * (g * g);
    first[i] = m;
    second[i] = v;
    const float denominator = std::sqrt(v) / r.root_correction2 + r.epsilon;
    parameter[i] = parameter[i] * kept - r.step_size * (m / denominator);
  }
  if (rounded) {
    for (std::int64_t i = 0; i < count; ++i) rounded[i] = BFloat16::from_float(parameter[i]);
  }
}

}  // namespace

AdamW::AdamW(const NamedTensors& tensors, const AdamWOptions& options) : options_(options) {
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const auto type = tensor.scalar_type();
    if (type != at::kFloat && type != at::kBFloat16) {
      throw InputError({{}, name}, "expected f32 or bf16 to train");
    }
    if (!tensor.is_contiguous()) throw InputError({{}, name}, "expected a contiguous tensor");
    const bool faster = tensor.dim() == 1 || name.find(".lora_B.") != std::string::npos;
    Slot slot{
        {tensor, {}, {}, {}}, name, tensor.dim() >= 2, faster ? options.loraplus_lr_ratio : 1};
    const auto f32 = at::TensorOptions().dtype(at::kFloat).device(tensor.device());
    slot.first = at::zeros(tensor.sizes(), f32);
    slot.second = at::zeros(tensor.sizes(), f32);
    if (type == at::kBFloat16) slot.master = tensor.detach().to(at::kFloat);
    for (std::int64_t begin = 0; tensor.is_cpu() && begin < tensor.numel(); begin += kChunk) {
      chunks_.push_back({slots_.size(), begin, std::min(begin + kChunk, tensor.numel())});
    }
    if (tensor.is_cpu()) elements_ += tensor.numel();
    slots_.push_back(std::move(slot));
  }
}

at::Tensor AdamW::gradient(const Slot& slot) const {
  const at::Tensor& gradient = slot.parameter.grad();
  if (!gradient.defined()) return gradient;
  return gradient.contiguous();
}

double AdamW::gradient_norm() const {
  std::vector<at::Tensor> gradients;
  for (const Slot& slot : slots_) gradients.push_back(gradient(slot));
  std::vector<double> sums(chunks_.size());
  const auto work = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const Chunk& chunk = chunks_[static_cast<std::size_t>(i)];
      const at::Tensor& values = gradients[chunk.slot];
      if (!values.defined()) continue;
      sums[static_cast<std::size_t>(i)] =
          values.scalar_type() == at::kBFloat16
              ? sum_of_squares(as_bfloat16(values), chunk.begin, chunk.end)
              : sum_of_squares(values.data_ptr<float>(), chunk.begin, chunk.end);
    }
  };
  const auto count = static_cast<std::int64_t>(chunks_.size());
  parallel_for(count, elements_ < kSerial ? count : 1, work);
  double total = 0;
  for (const double sum : sums) total += sum;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (gradients[i].defined() && !gradients[i].is_cpu()) {
      total += sum_of_squares_by_torch(gradients[i]);
    }
  }
  return std::sqrt(total);
}

void AdamW::update(const Slot& slot, const at::Tensor& gradient, std::int64_t begin,
                   std::int64_t end, const AdamWRates& rates) {
  const bool narrow = slot.master.defined();
  float* parameter = (narrow ? slot.master : slot.parameter).data_ptr<float>() + begin;
  BFloat16* rounded =
      narrow ? reinterpret_cast<BFloat16*>(slot.parameter.data_ptr<at::BFloat16>()) + begin
             : nullptr;
  float* first = slot.first.data_ptr<float>() + begin;
  float* second = slot.second.data_ptr<float>() + begin;
  const float kept = slot.decays ? rates.kept : 1.f;
  if (gradient.scalar_type() == at::kBFloat16) {
    update_elements(parameter, rounded, as_bfloat16(gradient) + begin, first, second, end - begin,
                    kept, rates);
  } else {
    update_elements(parameter, rounded, gradient.data_ptr<float>() + begin, first, second,
                    end - begin, kept, rates);
  }
}

AdamWRates AdamW::rates(double learning_rate, double gradient_scale) const {
  const auto t = static_cast<double>(steps_);
  const double correction1 = 1 - std::pow(options_.beta1, t);
  const double correction2 = 1 - std::pow(options_.beta2, t);
  return {
      .gradient_scale = static_cast<float>(gradient_scale),
      .beta1 = static_cast<float>(options_.beta1),
      .one_minus_beta1 = static_cast<float>(1 - options_.beta1),
      .beta2 = static_cast<float>(options_.beta2),
      .one_minus_beta2 = static_cast<float>(1 - options_.beta2),
      .root_correction2 = static_cast<float>(std::sqrt(correction2)),
      .epsilon = static_cast<float>(options_.epsilon),
      .step_size = static_cast<float>(learning_rate / correction1),
      .kept = static_cast<float>(1 - learning_rate * options_.weight_decay),
  };
}

void AdamW::step(double learning_rate, double gradient_scale) {
  at::NoGradGuard no_grad;
  ++steps_;
  std::vector<AdamWRates> rates;
  for (const Slot& slot : slots_) {
    rates.push_back(this->rates(learning_rate * slot.rate_ratio, gradient_scale));
  }
  std::vector<at::Tensor> gradients;
  for (const Slot& slot : slots_) gradients.push_back(gradient(slot));
  const auto work = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const Chunk& chunk = chunks_[static_cast<std::size_t>(i)];
      if (!gradients[chunk.slot].defined()) continue;
      update(slots_[chunk.slot], gradients[chunk.slot], chunk.begin, chunk.end, rates[chunk.slot]);
    }
  };
  const auto count = static_cast<std::int64_t>(chunks_.size());
  parallel_for(count, elements_ < kSerial ? count : 1, work);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (gradients[i].defined() && !gradients[i].is_cpu()) {
      update_by_torch(slots_[i], gradients[i], slots_[i].decays ? rates[i].kept : 1.f, rates[i]);
    }
  }
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = at::Tensor();
}

NamedTensors AdamW::state() const {
  NamedTensors state;
  for (const Slot& slot : slots_) {
    state.emplace_back(slot.name, slot.parameter);
    state.emplace_back(slot.name + ".exp_avg", slot.first);
    state.emplace_back(slot.name + ".exp_avg_sq", slot.second);
    if (slot.master.defined()) state.emplace_back(slot.name + ".master", slot.master);
  }
  return state;
}

double clip_scale(double gradient_norm, double clip) {
  if (clip <= 0) return 1;
  return std::min(1.0, clip / (gradient_norm + 1e-6));
}

}  // namespace qloft::train
