#pragma once
// What the tests of the model share.

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gradients.h"
#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "qloft/model.h"
#include "random_adapter.h"

namespace qloft::model {

using test::distance;
using test::expect_same_gradients;
using test::expect_slope;
using test::random_adapter;

// 2 layers, 4 query heads on 2 heads of keys and values, hidden 32.
inline io::Json small_config() {
  return {{"model_type", "llama"},    {"hidden_size", 32},
          {"intermediate_size", 48},  {"num_hidden_layers", 2},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"vocab_size", 64},         {"max_position_embeddings", 128},
          {"initializer_range", 0.2}};
}
inline architecture::Layout small_layout() {
  return architecture::read_layout(small_config(), "config.json");
}

inline Model small_model(const LoadOptions& options = {},
                         const std::optional<quant::Format>& format = std::nullopt) {
  return Model::random(small_layout(), options, 5, format);
}

inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

inline at::Tensor random_ids(std::int64_t rows, std::int64_t length, std::uint64_t seed = 1) {
  at::manual_seed(seed);
  return at::randint(3, 64, {rows, length}, at::kLong);
}

// The summed loss of predicting every id but the first of each row.
inline at::Tensor summed_loss(Model& model, const Input& input) {
  const std::int64_t rows = input.ids.size(0), length = input.ids.size(1);
  const at::Tensor states = model.hidden(input);
  const at::Tensor positions =
      at::arange(rows * length, at::kLong).view({rows, length}).narrow(1, 0, length - 1).flatten();
  const at::Tensor targets = input.ids.narrow(1, 1, length - 1).flatten();
  return model.cross_entropy(states.view({-1, states.size(-1)}), positions, targets, input.adapters,
                             length);
}

}  // namespace qloft::model
