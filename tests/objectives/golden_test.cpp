// Against transformers: tests/golden/make_models.py and make_families.py.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "folder_names.h"
#include "gradients.h"
#include "qloft/objectives.h"

namespace qloft::objectives {
namespace {

using at::Tensor;
using model::Continuation;
using model::Input;
using model::KeyValueCache;
using model::LoadOptions;
using model::Model;
using test::distance;

class Golden : public testing::TestWithParam<std::string> {
 protected:
  Golden()
      : folder_(std::filesystem::path(QLOFT_TEST_DATA) / "golden/models" / GetParam()),
        expected_(io::read_json(folder_ / "expected.json")) {}

  Model load(LoadOptions options = {}) const {
    Progress silent;
    options.device = device();
    return Model::load(quantized::ModelFiles(folder_), options, silent);
  }

  // The environment's QLOFT_TEST_DEVICE ("cuda"), else the CPU.
  static at::Device device() {
    const char* name = std::getenv("QLOFT_TEST_DEVICE");
    return name != nullptr ? at::Device(name) : at::Device(at::kCPU);
  }

  static Tensor ids_of(const io::Json& rows) {
    std::vector<Tensor> out;
    for (const auto& row : rows) {
      out.push_back(at::tensor(row.get<std::vector<std::int64_t>>(), at::kLong));
    }
    return at::stack(out).to(device());
  }

  // What follows each of `rows` by the largest logits, all rows in one pass.
  static std::vector<std::vector<std::int64_t>> continue_greedily(
      Model& model, const std::vector<std::vector<std::int64_t>>& rows, std::size_t count) {
    std::vector<KeyValueCache> caches;
    std::vector<Continuation> next;
    for (std::size_t i = 0; i < rows.size(); ++i) caches.push_back(model.make_cache(64));
    for (std::size_t i = 0; i < rows.size(); ++i) next.push_back({&caches[i], rows[i]});
    std::vector<std::vector<std::int64_t>> out(rows.size());
    while (out[0].size() < count) {
      const Tensor chosen = model.logits(model.extend(next)).argmax(-1).cpu();
      for (std::size_t i = 0; i < rows.size(); ++i) {
        out[i].push_back(chosen[static_cast<std::int64_t>(i)].item<std::int64_t>());
        next[i].ids = {out[i].back()};
      }
    }
    return out;
  }

  std::filesystem::path folder_;
  io::Json expected_;
};

TEST_P(Golden, LossAgrees) {
  Model model = load();
  const auto loss = next_token(model, {ids_of(expected_["ids"])});
  EXPECT_EQ(loss.count, 2 * 23);
  EXPECT_NEAR(loss.sum.item<double>() / static_cast<double>(loss.count),
              expected_["loss"].get<double>(), 1e-5);
}

TEST_P(Golden, LogitsAgree) {
  Model model = load();
  const at::NoGradGuard no_grad;
  const Tensor logits = model.logits(model.hidden({ids_of(expected_["ids"])}));
  for (std::size_t i = 0; i < expected_["positions"].size(); ++i) {
    const auto values = expected_["logits"][i].get<std::vector<float>>();
    const auto position = expected_["positions"][i].get<std::int64_t>();
    EXPECT_LE(distance(logits[1][position].cpu(), at::tensor(values)), 1e-4);
  }
}

// The gradients of a checkpoint's tensors, as it stores them, put together from those of the
// parameters that they hold.
std::map<std::string, Tensor> gradients_of_tensors(const Model& model,
                                                   const quantized::ModelFiles& files) {
  std::map<std::string, Tensor> out;
  for (const auto& [name, weight] : model.dense_weights()) {
    const architecture::ParameterId id = architecture::find(files.layout(), name);
    const architecture::Parameter& parameter = files.layout().parameter(id);
    const Tensor own = weight.grad().cpu();
    const Tensor gradient = parameter.transposed ? own.t() : own;
    const auto tensors = files.tensors(id);
    std::int64_t first = 0;
    for (const std::string& tensor : tensors) {
      const auto& shape = files.source().info(tensor).shape;
      Tensor& sum = out[tensor];
      if (!sum.defined()) sum = at::zeros(shape);
      if (shape.size() == 3) {
        sum[parameter.expert].copy_(gradient);
      } else {
        sum.copy_(gradient.narrow(0, first, shape.front()));
        first += shape.front();
      }
    }
  }
  return out;
}

TEST_P(Golden, GradientsAgree) {
  for (const bool checkpointing : {false, true}) {
    Model model = load({.train_weights = true});
    model.set_checkpointing(checkpointing);
    const auto loss = next_token(model, {ids_of(expected_["ids"])});
    (loss.sum / static_cast<double>(loss.count)).backward();
    for (const auto& [name, tensor] : model.trainable()) {
      ASSERT_TRUE(tensor.grad().defined()) << name;
    }
    const auto found = gradients_of_tensors(model, quantized::ModelFiles(folder_));
    for (const auto& [name, gradient] : expected_["gradients"].items()) {
      const auto tensor = found.find(name);
      ASSERT_NE(tensor, found.end()) << name;
      const double norm = gradient["norm"].get<double>();
      EXPECT_NEAR(tensor->second.norm().item<double>(), norm, 1e-4 * norm) << name;
      const auto first = at::tensor(gradient["first"].get<std::vector<float>>());
      EXPECT_LE(distance(tensor->second.flatten().narrow(0, 0, 6), first), 1e-4 * norm) << name;
    }
  }
}

TEST_P(Golden, GreedyContinuationIsTheSame) {
  Model model = load();
  const auto prompt = expected_["ids"][0].get<std::vector<std::int64_t>>();
  const auto expected = expected_["greedy"].get<std::vector<std::int64_t>>();
  EXPECT_EQ(continue_greedily(model, {prompt}, expected.size()).front(), expected);
}

TEST_P(Golden, GreedyContinuationsOfABatchOfUnequalLengthsAreTheSame) {
  Model model = load();
  const auto prompts = expected_["batch"].get<std::vector<std::vector<std::int64_t>>>();
  const auto expected = expected_["batch_greedy"].get<std::vector<std::vector<std::int64_t>>>();
  EXPECT_EQ(continue_greedily(model, prompts, expected[0].size()), expected);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::ValuesIn(test::names_in(std::filesystem::path(QLOFT_TEST_DATA) /
                                                          "golden/models")),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace qloft::objectives
