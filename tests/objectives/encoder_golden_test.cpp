// Encoders against transformers and PEFT: tests/golden/make_encoders.py.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "folder_names.h"
#include "gradients.h"
#include "qloft/adapter.h"
#include "qloft/objectives.h"
#include "temporary_folder.h"

namespace qloft::objectives {
namespace {

using architecture::HeadKind;
using at::Tensor;
using model::Model;
using test::distance;

const std::filesystem::path kEncoders = std::filesystem::path(QLOFT_TEST_DATA) / "golden/encoders";

// Rows of unequal lengths, filled up with `value`: int64 [rows, longest].
Tensor padded(const io::Json& rows, std::int64_t value) {
  std::size_t longest = 0;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  std::vector<Tensor> out;
  for (const auto& row : rows) {
    auto values = row.get<std::vector<std::int64_t>>();
    values.resize(longest, value);
    out.push_back(at::tensor(values, at::kLong));
  }
  return at::stack(out);
}

class Encoder : public testing::TestWithParam<std::string> {
 protected:
  Model load(const model::LoadOptions& options = {}) const {
    Progress silent;
    return Model::load(quantized::ModelFiles(folder_), options, silent);
  }

  model::Input input(std::vector<model::AdapterId> adapters = {}) const {
    model::Input out;
    const auto& ids = expected_["ids"];
    out.ids = padded(ids, io::read_json(folder_ / "config.json")["pad_token_id"]);
    io::Json none = io::Json::array();
    for (const auto& row : ids) none.push_back(std::vector<std::int64_t>(row.size(), 0));
    out.segments = padded(none, -1);
    if (expected_.contains("types")) out.types = padded(expected_["types"], 0);
    out.adapters = std::move(adapters);
    return out;
  }

  // What the model says of each row's tokens: [labels], or [length, labels].
  static std::vector<Tensor> said(Model& model, const model::Input& in) {
    const HeadKind kind = model.layout().head.kind;
    const Tensor all = kind == HeadKind::states ? model.mean_states(in)
                       : kind == HeadKind::masked_token
                           ? model.logits(model.hidden(in), in.adapters)
                           : model.scores(in);
    std::vector<Tensor> rows;
    for (std::int64_t row = 0; row < all.size(0); ++row) {
      const Tensor one = all[row];
      const std::int64_t length = in.segments[row].ge(0).sum().item<std::int64_t>();
      rows.push_back(one.dim() == 2 ? one.narrow(0, 0, length) : one);
    }
    return rows;
  }

  Tensor mean_loss(Model& model, const model::Input& in) const {
    const auto& labels = expected_.contains("labels") ? expected_["labels"] : io::Json();
    Loss loss;
    switch (model.layout().head.kind) {
      case HeadKind::sequence: {
        const bool numbers = model.layout().head.problem != architecture::Problem::single_label;
        std::vector<Tensor> rows;
        for (const auto& row : labels) {
          rows.push_back(!numbers         ? at::tensor(row.get<std::int64_t>(), at::kLong)
                         : row.is_array() ? at::tensor(row.get<std::vector<float>>())
                                          : at::tensor(row.get<float>()));
        }
        loss = classification(model, in, numbers ? at::stack(rows) : at::stack(rows).flatten());
        break;
      }
      case HeadKind::spans: {
        const Tensor places = padded(labels, 0);
        loss = spans(model, in, places.select(1, 0), places.select(1, 1));
        break;
      }
      case HeadKind::tokens:
        loss = token_labels(model, in, padded(labels, -100));
        break;
      case HeadKind::masked_token:
        loss = masked_token(model, in, padded(labels, -100));
        break;
      default:
        return model.mean_states(in).square().mean();
    }
    return loss.sum / static_cast<double>(loss.count);
  }

  void expect_said(Model& model, const model::Input& in, const io::Json& expected) const {
    const at::NoGradGuard no_grad;
    const auto rows = said(model, in);
    ASSERT_EQ(rows.size(), expected.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::vector<float> values;
      for (const auto& value : expected[i].flatten()) values.push_back(value.get<float>());
      EXPECT_LE(distance(rows[i].flatten(), at::tensor(values)), 1e-4) << "row " << i;
    }
  }

  static void expect_gradient(const Tensor& found, const io::Json& expected) {
    const double norm = expected["norm"].get<double>();
    // The sum of a softmax's gradients is nothing but roundings.
    const double tolerance = 1e-4 * norm + 1e-6;
    EXPECT_NEAR(found.norm().item<double>(), norm, tolerance);
    const auto first = at::tensor(expected["first"].get<std::vector<float>>());
    EXPECT_LE(distance(found.flatten().narrow(0, 0, first.size(0)), first), tolerance);
  }

  const std::filesystem::path folder_ = kEncoders / GetParam();
  const io::Json expected_ = io::read_json(folder_ / "expected.json");
};

TEST_P(Encoder, SaysWhatTransformersSaysOfAPaddedBatch) {
  Model model = load();
  expect_said(model, input(), expected_["said"]);
}

TEST_P(Encoder, LossAndGradientsAgree) {
  for (const bool checkpointing : {false, true}) {
    SCOPED_TRACE(checkpointing ? "recomputed" : "kept");
    Model model = load({.train_weights = true});
    model.set_checkpointing(checkpointing);
    const Tensor loss = mean_loss(model, input());
    EXPECT_NEAR(loss.item<double>(), expected_["loss"].get<double>(), 2e-5);
    loss.backward();
    const quantized::ModelFiles files(folder_);
    std::size_t found = 0;
    for (const auto& [name, weight] : model.dense_weights()) {
      const auto id = architecture::find(files.layout(), name);
      for (const std::string& tensor : files.tensors(id)) {
        if (!expected_["gradients"].contains(tensor)) continue;
        SCOPED_TRACE(tensor);
        ASSERT_TRUE(weight.grad().defined());
        expect_gradient(weight.grad(), expected_["gradients"][tensor]);
        ++found;
      }
    }
    EXPECT_EQ(found, expected_["gradients"].size());
  }
}

TEST_P(Encoder, AnAdapterOfPeftSaysAndLearnsTheSame) {
  if (!std::filesystem::exists(folder_ / "adapter.json")) return;
  const io::Json expected = io::read_json(folder_ / "adapter.json");
  Model model = load();
  const adapter::Adapter adapter = adapter::load(folder_ / "adapter", model.layout());
  const auto id = model.attach("default", adapter, /*train=*/true);
  expect_said(model, input({id}), expected["said"]);
  const Tensor loss = mean_loss(model, input({id}));
  EXPECT_NEAR(loss.item<double>(), expected["loss"].get<double>(), 2e-5);
  loss.backward();
  for (const auto& [name, tensor] : model.trainable()) {
    // "MODULE.lora_A.default" or "PARAMETER.default"
    std::string written = "base_model.model." + name.substr(0, name.rfind('.'));
    if (name.find(".lora_") != std::string::npos) written += ".weight";
    if (!expected["gradients"].contains(written)) continue;  // a pooler, which PEFT leaves alone
    SCOPED_TRACE(written);
    ASSERT_TRUE(tensor.grad().defined());
    expect_gradient(tensor.grad(), expected["gradients"][written]);
  }
}

TEST_P(Encoder, AnAdapterIsWrittenAsPeftWroteIt) {
  if (!std::filesystem::exists(folder_ / "adapter.json")) return;
  const test::TemporaryFolder written;
  const quantized::ModelFiles files(folder_);
  adapter::save(adapter::load(folder_ / "adapter", files.layout()), written.path(),
                ElementType::f32, files.layout());
  const io::SafetensorsFile ours(written / "adapter_model.safetensors");
  const io::SafetensorsFile theirs(folder_ / "adapter/adapter_model.safetensors");
  EXPECT_EQ(ours.tensors().size(), theirs.tensors().size());
  for (const io::TensorInfo& info : theirs.tensors()) {
    const io::TensorInfo* own = ours.find(info.name);
    ASSERT_NE(own, nullptr) << info.name;
    EXPECT_EQ(own->shape, info.shape) << info.name;
    EXPECT_TRUE(std::ranges::equal(ours.bytes(*own), theirs.bytes(info))) << info.name;
  }
  const io::Json config = io::read_json(written / "adapter_config.json");
  const io::Json its = io::read_json(folder_ / "adapter/adapter_config.json");
  EXPECT_EQ(config["task_type"], its["task_type"]);
  EXPECT_EQ(config["target_modules"], its["target_modules"]);
  // PEFT saves every module whose name ends so: "pre_classifier" for "classifier".
  for (const auto& part : config["modules_to_save"]) {
    EXPECT_TRUE(std::ranges::any_of(its["modules_to_save"], [&](const auto& end) {
      return part.template get<std::string>().ends_with(end.template get<std::string>());
    })) << part;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Encoder, testing::ValuesIn(test::names_in(kEncoders)),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace qloft::objectives
