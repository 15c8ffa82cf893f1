#pragma once
// A sequence as the model takes it, and a model under observation.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>

#include "qloft/calibrate.h"
#include "qloft/data.h"
#include "qloft/model.h"

namespace qloft::calibrate {

// int64 [1, length].
at::Tensor ids_of(const data::Example& example, const model::Model& model);
at::Tensor loss_mask_of(const data::Example& example);

// What `count` tokens from `first` on count as inputs of the layer: [count], f32, on the CPU.
// Throws InputError where so many are not kept.
at::Tensor weights_of(const KeptWeights& kept, const std::string& module, std::int64_t first,
                      std::int64_t count);

// The model has this observer while the object lives.
class Observed {
 public:
  Observed(model::Model& model, model::Observer observer) : model_(model) {
    model_.observe(std::move(observer));
  }
  ~Observed() { model_.observe({}); }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;

 private:
  model::Model& model_;
};

}  // namespace qloft::calibrate
