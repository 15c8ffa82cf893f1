// Against transformers: tests/golden/make_models.py and make_families.py.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gradients.h"
#include "qloft/objectives.h"

namespace qloft::objectives {
namespace {

using at::Tensor;
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

  Model load(const LoadOptions& options = {}) const {
    Progress silent;
    return Model::load(quantized::ModelFiles(folder_), options, silent);
  }

  static Tensor ids_of(const io::Json& rows) {
    std::vector<Tensor> out;
    for (const auto& row : rows) {
      out.push_back(at::tensor(row.get<std::vector<std::int64_t>>(), at::kLong));
    }
    return at::stack(out);
  }

  static std::vector<std::int64_t> best(Model& model, const Input& input, KeyValueCache& cache) {
    const Tensor last = model.hidden(input, &cache).select(1, input.ids.size(1) - 1);
    const Tensor chosen = model.logits(last).argmax(-1);
    return {chosen.data_ptr<std::int64_t>(), chosen.data_ptr<std::int64_t>() + chosen.numel()};
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
    EXPECT_LE(distance(logits[1][position], at::tensor(values)), 1e-4);
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
    const Tensor gradient = parameter.transposed ? weight.grad().t() : weight.grad();
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
  auto cache = model.make_cache(1, 64);
  Input input{ids_of(expected_["ids"]).narrow(0, 0, 1)};
  std::vector<std::int64_t> ids;
  while (ids.size() < expected_["greedy"].size()) {
    ids.push_back(best(model, input, cache).front());
    input.ids = at::tensor({ids.back()}, at::kLong).reshape({1, 1});
  }
  EXPECT_EQ(ids, expected_["greedy"].get<std::vector<std::int64_t>>());
}

TEST_P(Golden, GreedyContinuationOfALeftPaddedBatchIsTheSame) {
  Model model = load();
  const auto rows = expected_["batch"].get<std::vector<std::vector<std::int64_t>>>();
  const auto longest = static_cast<std::int64_t>(rows[0].size());
  const auto missing = longest - static_cast<std::int64_t>(rows[1].size());
  Input input{at::zeros({2, longest}, at::kLong)};
  input.ids[0] = at::tensor(rows[0]);
  input.ids[1].narrow(0, missing, longest - missing).copy_(at::tensor(rows[1]));
  input.positions = at::arange(longest, at::kLong).repeat({2, 1});
  input.positions[1].sub_(missing).clamp_(0);
  input.segments = at::zeros({2, longest}, at::kLong);
  input.segments[1].narrow(0, 0, missing).fill_(-1);

  auto cache = model.make_cache(2, 64);
  Tensor next = at::tensor({longest, longest - missing}, at::kLong);
  std::vector<std::vector<std::int64_t>> out(2);
  while (out[0].size() < expected_["batch_greedy"][0].size()) {
    const auto chosen = best(model, input, cache);
    for (std::size_t row = 0; row < 2; ++row) out[row].push_back(chosen[row]);
    input.ids = at::tensor(chosen, at::kLong).unsqueeze(1);
    input.positions = next.unsqueeze(1).clone();
    input.segments = Tensor();
    next.add_(1);
  }
  EXPECT_EQ(out, expected_["batch_greedy"].get<std::vector<std::vector<std::int64_t>>>());
}

std::vector<std::string> golden_models() {
  std::vector<std::string> out;
  const auto folder = std::filesystem::path(QLOFT_TEST_DATA) / "golden/models";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    out.push_back(entry.path().filename());
  }
  std::ranges::sort(out);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::ValuesIn(golden_models()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace qloft::objectives
