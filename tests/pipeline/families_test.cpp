// Every decoder family through every stage, on the checkpoints and adapters of
// tests/golden/make_families.py: a folder there is all that a new family needs here.
#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "../train/toy.h"
#include "progress.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/model.h"
#include "qloft/objectives.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/merge.h"
#include "qloft/pipeline/quantize.h"
#include "temporary_folder.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

const fs::path kModels = fs::path(QLOFT_TEST_DATA) / "golden/models";

std::vector<std::string> families_with_adapters() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    if (fs::exists(entry.path() / "adapters.json")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Family : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    fs::create_directory(folder_ / "base");
    for (const char* file : {"config.json", "model.safetensors"}) {
      fs::copy_file(golden_ / file, folder_ / "base" / file);
    }
    test::write_toy_tokenizer(folder_ / "base");
  }

  Tensor ids() const {
    std::vector<Tensor> rows;
    for (const auto& row : expected_["ids"]) {
      rows.push_back(at::tensor(row.get<std::vector<std::int64_t>>(), at::kLong));
    }
    return at::stack(rows);
  }
  Tensor mean_loss(model::Model& model, std::vector<model::AdapterId> adapters) const {
    const auto loss = objectives::next_token(model, {ids(), {}, {}, std::move(adapters)});
    return loss.sum / static_cast<double>(loss.count);
  }
  // Of a folder, with the adapter in another one.
  double loss_of(const std::string& name, const fs::path& adapter = {}) {
    const quantized::ModelFiles files(folder_ / name);
    auto model = model::Model::load(files, {}, silent_);
    if (adapter.empty()) return mean_loss(model, {}).item<double>();
    const auto id = model.attach("default", adapter::load(adapter, files.layout()), false);
    return mean_loss(model, {id}).item<double>();
  }
  void merge_to(const std::string& name, const std::string& model, const fs::path& adapter) {
    MergeOptions options;
    options.model = (folder_ / model).string();
    options.adapter = adapter.string();
    options.output = folder_ / name;
    options.dtype = "f32";
    merge(options, silent_);
  }
  FinetuneOptions tuning(const std::string& name, const std::string& model) {
    FinetuneOptions options;
    options.model = (folder_ / model).string();
    options.data = {test::write_toy_texts(folder_ / "data.jsonl", 12)};
    options.output = folder_ / name;
    options.train.learning_rate = 1e-2;
    options.train.max_steps = 6;
    options.train.length = 32;
    return options;
  }
  // Those of "adapter", "experts" and "older_experts" that this family has.
  std::vector<std::string> adapters() const {
    std::vector<std::string> names;
    for (const auto& [name, values] : adapters_.items()) {
      if (values.is_object()) names.push_back(name);
    }
    return names;
  }

  const fs::path golden_ = kModels / GetParam();
  const io::Json expected_ = io::read_json(golden_ / "expected.json");
  const io::Json adapters_ = io::read_json(golden_ / "adapters.json");
  test::TemporaryFolder folder_;
  Progress silent_;
};

// `adapter` with the gradients of its factors in their place.
adapter::Adapter gradients_of(const model::Model& model, adapter::Adapter adapter) {
  for (const auto& [name, tensor] : model.trainable()) {
    for (const bool is_a : {true, false}) {
      const std::string end = is_a ? ".lora_A.default" : ".lora_B.default";
      if (!name.ends_with(end)) continue;
      adapter::Factors& factors = adapter.modules.at(name.substr(0, name.size() - end.size()));
      Matrix& factor = is_a ? factors.a : factors.b;
      std::ranges::fill(factor.values(), 0.f);  // of experts that no token chose
      if (!tensor.grad().defined()) continue;
      const Tensor gradient = tensor.grad().contiguous();
      std::memcpy(factor.data(), gradient.data_ptr<float>(), factor.values().size_bytes());
    }
  }
  return adapter;
}

std::vector<float> floats(const io::SafetensorsFile& file, const io::TensorInfo& info) {
  std::vector<float> values(static_cast<std::size_t>(info.element_count()));
  checkpoint::convert_to_f32(file.bytes(info), info.type, values);
  return values;
}

TEST_P(Family, AnAdapterOfPeftHasItsLossAndGradients) {
  for (const std::string& name : adapters()) {
    SCOPED_TRACE(name);
    const quantized::ModelFiles files(folder_ / "base");
    auto model = model::Model::load(files, {}, silent_);
    const adapter::Adapter adapter = adapter::load(golden_ / name, files.layout());
    const auto id = model.attach("default", adapter, /*train=*/true);
    const Tensor loss = mean_loss(model, {id});
    const io::Json& expected = adapters_[name];
    EXPECT_NEAR(loss.item<double>(), expected["loss"].get<double>(), 1e-5);
    if (!expected.contains("gradients")) continue;
    loss.backward();
    adapter::save(gradients_of(model, adapter), folder_.path(), ElementType::f32, files.layout());
    const io::SafetensorsFile file(folder_ / "adapter_model.safetensors");
    for (const auto& [tensor, gradient] : expected["gradients"].items()) {
      SCOPED_TRACE(tensor);
      const io::TensorInfo* info = file.find(tensor);
      ASSERT_NE(info, nullptr);
      const double norm = gradient["norm"].get<double>();
      double squares = 0, sum = 0;
      const std::vector<float> values = floats(file, *info);
      for (const double value : values) {
        squares += value * value;
        sum += value;
      }
      const double tolerance = 1e-4 * norm + 1e-6;
      EXPECT_NEAR(std::sqrt(squares), norm, tolerance);
      EXPECT_NEAR(sum, gradient["sum"].get<double>(), 10 * tolerance);
      for (std::size_t i = 0; i < gradient["first"].size(); ++i) {
        EXPECT_NEAR(values[i], gradient["first"][i].get<double>(), tolerance);
      }
    }
  }
}

TEST_P(Family, AnAdapterIsWrittenAsPeftWroteIt) {
  const quantized::ModelFiles files(folder_ / "base");
  for (const std::string& name : adapters()) {
    if (name == "older_experts") continue;
    SCOPED_TRACE(name);
    fs::create_directory(folder_ / name);
    adapter::save(adapter::load(golden_ / name, files.layout()), folder_ / name, ElementType::f32,
                  files.layout());
    const io::SafetensorsFile ours(folder_ / name / "adapter_model.safetensors");
    const io::SafetensorsFile theirs(golden_ / name / "adapter_model.safetensors");
    EXPECT_EQ(ours.tensors().size(), theirs.tensors().size());
    for (const io::TensorInfo& info : theirs.tensors()) {
      const io::TensorInfo* own = ours.find(info.name);
      ASSERT_NE(own, nullptr) << info.name;
      EXPECT_EQ(own->shape, info.shape) << info.name;
      EXPECT_TRUE(std::ranges::equal(ours.bytes(*own), theirs.bytes(info))) << info.name;
    }
    const io::Json written = io::read_json(folder_ / name / "adapter_config.json");
    const io::Json config = io::read_json(golden_ / name / "adapter_config.json");
    // None is null in some of PEFT's configs and an empty list in others.
    const auto is_empty = [](const io::Json& list) { return list.is_null() || list.empty(); };
    const io::Json &own = written["target_parameters"], &theirs_are = config["target_parameters"];
    EXPECT_TRUE(own == theirs_are || (is_empty(own) && is_empty(theirs_are))) << own;
    if (!config["target_modules"].is_array()) continue;  // an expression
    EXPECT_EQ(written["target_modules"], config["target_modules"]);
  }
}

TEST_P(Family, MergedWeightsHaveTheLossOfTheAdapter) {
  for (const std::string& name : adapters()) {
    SCOPED_TRACE(name);
    merge_to("merged_" + name, "base", golden_ / name);
    EXPECT_NEAR(loss_of("merged_" + name), adapters_[name]["loss"].get<double>(), 1e-4);
  }
}

TEST_P(Family, MoreBitsAreCloserAndMergeToWhatWasQuantized) {
  double last = 1;
  for (const int bits : {2, 3, 4}) {
    SCOPED_TRACE(bits);
    const std::string name = "q" + std::to_string(bits);
    QuantizeOptions options;
    options.model = (folder_ / "base").string();
    options.output = folder_ / name;
    options.method = "loftq";
    options.bits = bits;
    options.rank = 4;
    const QuantizeReport report = quantize(options, silent_);
    const quantized::ModelFiles base(folder_ / "base");
    EXPECT_EQ(report.matrices.size(), architecture::linear_layers(base.layout()).size());
    EXPECT_LT(report.relative_error, last);
    last = report.relative_error;
    const double loss = loss_of(name, folder_ / name / "adapter");
    EXPECT_TRUE(std::isfinite(loss));
    EXPECT_NE(loss, loss_of(name));
    merge_to("m" + name, name, {});
    EXPECT_NEAR(loss_of("m" + name), loss, 1e-4);
  }
}

TEST_P(Family, TuningLearnsAndResumesToTheSameBits) {
  QuantizeOptions options;
  options.model = (folder_ / "base").string();
  options.output = folder_ / "q4";
  options.method = "loftq";
  options.bits = 4;
  options.rank = 4;
  quantize(options, silent_);
  for (const std::string model : {"base", "q4"}) {
    SCOPED_TRACE(model);
    FinetuneOptions whole = tuning("whole_" + model, model);
    FinetuneOptions broken = tuning("broken_" + model, model);
    if (model == "base") whole.rank = broken.rank = 4;
    const FinetuneReport report = finetune(whole, silent_);
    EXPECT_LT(report.summary.last_loss, report.summary.first_loss);
    test::StopIn stop("train", 3);
    EXPECT_THROW(finetune(broken, stop), Interrupted);
    broken.train.resume = true;
    finetune(broken, silent_);
    EXPECT_EQ(read_file(whole.output / "adapter_model.safetensors"),
              read_file(broken.output / "adapter_model.safetensors"));
    EXPECT_EQ(loss_of(model, whole.output), loss_of(model, broken.output));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Family, ::testing::ValuesIn(families_with_adapters()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace qloft::pipeline
