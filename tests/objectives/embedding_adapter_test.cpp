// Adapters of the embedding and the output matrix, against PEFT's
// (tests/golden/make_embedding_adapters.py).
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gradients.h"
#include "qloft/objectives.h"
#include "temporary_folder.h"

namespace qloft::objectives {
namespace {

using at::Tensor;

class EmbeddingAdapter : public testing::TestWithParam<std::string> {
 protected:
  EmbeddingAdapter()
      : folder_(std::filesystem::path(QLOFT_TEST_DATA) / "golden/embedding_adapters" / GetParam()),
        expected_(io::read_json(folder_ / "expected.json")),
        files_(folder_ / "model"),
        model_(model::Model::load(files_, {}, silent_)),
        adapter_(adapter::load(folder_ / "adapter", files_.layout())) {
    const auto rows = expected_["ids"].get<std::vector<std::vector<std::int64_t>>>();
    std::vector<std::int64_t> flat;
    for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
    ids_ = at::tensor(flat, at::kLong).view({std::ssize(rows), -1});
  }

  double loss(const std::vector<model::AdapterId>& adapters) {
    const at::NoGradGuard no_grad;
    const Loss out = next_token(model_, {.ids = ids_, .adapters = adapters});
    return out.sum.item<double>() / static_cast<double>(out.count);
  }

  Progress silent_;
  std::filesystem::path folder_;
  io::Json expected_;
  quantized::ModelFiles files_;
  model::Model model_;
  adapter::Adapter adapter_;
  Tensor ids_;
};

TEST_P(EmbeddingAdapter, LossAndGradientsAgree) {
  const auto id = model_.attach("a", adapter_, true);
  const Loss out = next_token(model_, {.ids = ids_, .adapters = {id}});
  const Tensor mean = out.sum / static_cast<double>(out.count);
  EXPECT_NEAR(mean.item<double>(), expected_["loss"].get<double>(), 1e-5);
  mean.backward();
  std::map<std::string, Tensor> gradients;
  for (const auto& [name, tensor] : model_.trainable()) gradients[name] = tensor.grad();
  EXPECT_EQ(gradients.size(), expected_["gradients"].size());
  for (const auto& [name, values] : expected_["gradients"].items()) {
    const std::string module = name.substr(0, name.rfind('.'));
    const bool embedding = name.ends_with("embedding_A") || name.ends_with("embedding_B");
    const bool is_a = name.ends_with("A") != embedding;
    Tensor found = gradients.at(module + (is_a ? ".lora_A.a" : ".lora_B.a"));
    if (embedding) found = found.t();
    const Tensor expected = at::tensor(values.get<std::vector<float>>());
    EXPECT_LE(test::distance(found.flatten(), expected), 1e-5) << name;
  }
}

TEST_P(EmbeddingAdapter, RowsWithAndWithoutItAreEachAsAlone) {
  const auto id = model_.attach("a", adapter_, false);
  const at::NoGradGuard no_grad;
  const Tensor both = model_.hidden({.ids = ids_, .adapters = {id, model::kNoAdapter}});
  const Tensor with = model_.hidden({.ids = ids_, .adapters = {id}});
  const Tensor without = model_.hidden({.ids = ids_});
  EXPECT_LE(test::distance(both[0], with[0]), 1e-5);
  EXPECT_LE(test::distance(both[1], without[1]), 1e-5);
  EXPECT_GT(test::distance(with[1], without[1]), 1e-3);
}

TEST_P(EmbeddingAdapter, IsWrittenAsItWasRead) {
  const test::TemporaryFolder out;
  const auto original = io::SafetensorsFile(folder_ / "adapter" / "adapter_model.safetensors");
  adapter::save(adapter_, out.path(), ElementType::f32, files_.layout());
  const auto written = io::SafetensorsFile(out.path() / "adapter_model.safetensors");
  std::size_t copies = 0;
  for (const io::TensorInfo& tensor : original.tensors()) {
    if (tensor.name.ends_with("base_layer.weight")) {
      ++copies;
      continue;
    }
    const io::TensorInfo* found = written.find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(written.bytes(*found), original.bytes(tensor))) << tensor.name;
  }
  EXPECT_EQ(written.tensors().size() + copies, original.tensors().size());
  EXPECT_EQ(adapter::base_copies(folder_ / "adapter", files_.layout()).size(), copies);
}

INSTANTIATE_TEST_SUITE_P(Cases, EmbeddingAdapter, testing::Values("untied", "tied"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace qloft::objectives
