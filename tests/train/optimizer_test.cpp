#include "../../src/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/core/threads.h"
#include "qloft/io.h"

namespace qloft::train {
namespace {

at::Tensor tensor_of(const io::Json& values, const std::vector<std::int64_t>& shape) {
  return at::tensor(values.get<std::vector<double>>(), at::kDouble).to(at::kFloat).reshape(shape);
}

TEST(AdamW, FollowsTorchOverEightSteps) {
  const io::Json golden =
      io::read_json(std::string(QLOFT_TEST_DATA) + "/golden/adamw.json")["adamw"];
  NamedTensors tensors;
  for (const auto& [name, entry] : golden["tensors"].items()) {
    auto value = tensor_of(entry["start"], entry["shape"].get<std::vector<std::int64_t>>());
    if (name == "narrow") value = value.to(at::kBFloat16);
    tensors.emplace_back(name, value.set_requires_grad(true));
  }
  AdamW optimizer(tensors,
                  {golden["beta1"], golden["beta2"], golden["epsilon"], golden["weight_decay"]});
  for (const auto& step : golden["steps"]) {
    for (auto& [name, tensor] : tensors) {
      tensor.mutable_grad() =
          tensor_of(step["gradients"][name], tensor.sizes().vec()).to(tensor.scalar_type());
    }
    const double norm = optimizer.gradient_norm();
    EXPECT_NEAR(norm, step["gradient_norm"].get<double>(), 1e-5 * norm);
    optimizer.step(step["learning_rate"], clip_scale(norm, golden["clip"]));
    for (const auto& [name, tensor] : optimizer.state()) {
      if (!step["values"].contains(name == "narrow.master" ? "narrow" : name)) continue;
      const auto wanted = tensor_of(step["values"][name == "narrow.master" ? "narrow" : name],
                                    tensor.sizes().vec());
      if (name == "narrow") {
        EXPECT_TRUE(at::allclose(tensor.to(at::kFloat), wanted, 1.0 / 256, 0)) << name;
      } else {
        EXPECT_TRUE(at::allclose(tensor, wanted, 1e-5, 1e-6)) << name;
      }
    }
  }
}

TEST(AdamW, GivesAnAdaptersBAndVectorsTheRatesOfPeftsLoraPlus) {
  const io::Json file = io::read_json(std::string(QLOFT_TEST_DATA) + "/golden/adamw.json");
  const io::Json& golden = file["lora_plus"];
  NamedTensors tensors;
  for (const auto& [name, entry] : golden["tensors"].items()) {
    const auto shape = entry["shape"].get<std::vector<std::int64_t>>();
    tensors.emplace_back(name, tensor_of(entry["start"], shape).set_requires_grad(true));
  }
  AdamW optimizer(tensors, {.beta2 = 0.95,
                            .epsilon = 1e-6,
                            .weight_decay = 0.1,
                            .loraplus_lr_ratio = golden["ratio"].get<double>()});
  for (const auto& step : golden["steps"]) {
    for (auto& [name, tensor] : tensors) {
      tensor.mutable_grad() = tensor_of(step["gradients"][name], tensor.sizes().vec());
    }
    optimizer.step(golden["learning_rate"], 1);
    for (const auto& [name, tensor] : tensors) {
      const auto wanted = tensor_of(step["values"][name], tensor.sizes().vec());
      EXPECT_TRUE(at::allclose(tensor.detach(), wanted, 1e-5, 1e-6)) << name;
    }
  }
}

TEST(AdamW, ABfloat16TensorIsTheRoundingOfItsMaster) {
  auto weight = at::randn({3, 7}).to(at::kBFloat16).set_requires_grad(true);
  AdamW optimizer({{"w", weight}}, {});
  weight.mutable_grad() = at::randn({3, 7}).to(at::kBFloat16);
  optimizer.step(1e-2, 1);
  const auto master = optimizer.state().back().second;
  EXPECT_TRUE(at::equal(weight.detach(), master.to(at::kBFloat16)));
}

TEST(AdamW, SmallUpdatesOfABfloat16TensorAddUp) {
  auto weight = at::ones({1, 1}).to(at::kBFloat16).set_requires_grad(true);
  AdamW optimizer({{"w", weight}}, {});
  for (int i = 0; i < 100; ++i) {
    weight.mutable_grad() = at::ones({1, 1}).to(at::kBFloat16);
    optimizer.step(1e-4, 1);
  }
  EXPECT_NEAR(weight.item<float>(), 0.99, 0.004);
}

TEST(AdamW, ATensorWithoutAGradientStaysAsItWas) {
  auto used = at::ones({2, 2}).set_requires_grad(true);
  auto idle = at::ones({2, 2}).set_requires_grad(true);
  AdamW optimizer({{"used", used}, {"idle", idle}}, {.weight_decay = 0.1});
  used.mutable_grad() = at::ones({2, 2});
  EXPECT_DOUBLE_EQ(optimizer.gradient_norm(), 2.0);
  optimizer.step(0.1, 1);
  EXPECT_TRUE(at::equal(idle.detach(), at::ones({2, 2})));
  EXPECT_FALSE(at::equal(used.detach(), at::ones({2, 2})));
  EXPECT_FALSE(used.grad().defined());
}

TEST(AdamW, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int before = thread_count();
  std::vector<at::Tensor> results;
  std::vector<double> norms;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    at::manual_seed(3);
    auto weight = at::randn({301, 403}).set_requires_grad(true);
    AdamW optimizer({{"w", weight}}, {.weight_decay = 0.01});
    weight.mutable_grad() = at::randn({301, 403});
    norms.push_back(optimizer.gradient_norm());
    optimizer.step(1e-3, 0.5);
    results.push_back(weight.detach());
  }
  set_thread_count(before);
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

TEST(AdamW, TheStepByTorchsOperatorsIsThatOfTheLoop) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    at::manual_seed(4);
    const at::Tensor start = at::randn({37, 11}).to(type), gradient = at::randn({37, 11}).to(type);
    at::Tensor looped = start.clone().requires_grad_(true);
    looped.mutable_grad() = gradient.clone();
    AdamW optimizer({{"w", looped}}, {.weight_decay = 0.1});
    EXPECT_NEAR(optimizer.gradient_norm(), std::sqrt(sum_of_squares_by_torch(gradient)), 1e-5);
    optimizer.step(1e-2, 0.5);

    AdamWTensors tensors{start.clone(), at::zeros({37, 11}), at::zeros({37, 11}), {}};
    if (type == at::kBFloat16) tensors.master = start.to(at::kFloat);
    const AdamWRates rates{.gradient_scale = 0.5f,
                           .beta1 = 0.9f,
                           .one_minus_beta1 = 0.1f,
                           .beta2 = 0.999f,
                           .one_minus_beta2 = 0.001f,
                           .root_correction2 = std::sqrt(0.001f),
                           .epsilon = 1e-8f,
                           .step_size = 1e-2f / 0.1f,
                           .kept = 1 - 1e-2f * 0.1f};
    update_by_torch(tensors, gradient, rates.kept, rates);
    const double tolerance = type == at::kFloat ? 1e-6 : 1e-2;
    EXPECT_LE((tensors.parameter - looped.detach()).abs().max().item<double>(), tolerance);
  }
}

TEST(AdamW, ATransposedGradientIsReadInTheTensorsOrder) {
  const auto gradient = at::randn({5, 3});
  auto a = at::zeros({3, 5}).set_requires_grad(true);
  auto b = at::zeros({3, 5}).set_requires_grad(true);
  AdamW optimizer({{"a", a}, {"b", b}}, {});
  a.mutable_grad() = gradient.t();
  b.mutable_grad() = gradient.t().contiguous();
  optimizer.step(1e-3, 1);
  EXPECT_TRUE(at::equal(a.detach(), b.detach()));
}

TEST(AdamW, RefusesATensorThatIsNeitherF32NorBf16) {
  EXPECT_THROW(AdamW({{"w", at::zeros({2}, at::kDouble)}}, {}), InputError);
}

TEST(ClipScale, LeavesASmallNormAlone) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(5.0, 0.0), 1.0);
  EXPECT_NEAR(clip_scale(4.0, 1.0), 0.25, 1e-6);
}

}  // namespace
}  // namespace qloft::train
