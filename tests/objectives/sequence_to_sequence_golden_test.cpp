// Encoder-decoders against transformers and PEFT: tests/golden/make_seq2seq.py.
#include <ATen/core/grad_mode.h>
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
#include "qloft/core/error.h"
#include "qloft/objectives.h"
#include "temporary_folder.h"

namespace qloft::objectives {
namespace {

using at::Tensor;
using model::Model;
using test::distance;

const std::filesystem::path kPairs = std::filesystem::path(QLOFT_TEST_DATA) / "golden/seq2seq";
constexpr double kSmoothing = 0.1;  // of make_seq2seq.py

// Rows of unequal lengths, filled up with `value`: int64 [rows, longest].
Tensor filled_up(const io::Json& rows, std::int64_t value) {
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

void expect_gradient_of(const Tensor& found, const io::Json& expected) {
  ASSERT_TRUE(found.defined());
  const double norm = expected["norm"].get<double>();
  const double tolerance = 1e-4 * norm + 1e-6;
  EXPECT_NEAR(found.norm().item<double>(), norm, tolerance);
  const auto first = at::tensor(expected["first"].get<std::vector<float>>());
  EXPECT_LE(distance(found.flatten().narrow(0, 0, first.size(0)), first), tolerance);
}

class EncoderDecoder : public testing::TestWithParam<std::string> {
 protected:
  Model load(const model::LoadOptions& options = {}) const {
    Progress silent;
    return Model::load(quantized::ModelFiles(folder_), options, silent);
  }

  model::Source source() const {
    io::Json none = io::Json::array();
    for (const auto& row : expected_["ids"]) {
      none.push_back(std::vector<std::int64_t>(row.size(), 0));
    }
    return {filled_up(expected_["ids"], 1), filled_up(none, -1)};
  }

  void expect_said(Model& model, const std::vector<model::AdapterId>& adapters,
                   const io::Json& expected) const {
    const at::NoGradGuard no_grad;
    model::Input input;
    input.ids = decoder_input(model.layout(), labels_);
    input.source = source();
    input.adapters = adapters;
    const Tensor logits = model.logits(model.hidden(input), adapters);
    for (std::size_t row = 0; row < expected.size(); ++row) {
      const std::int64_t length = std::ssize(expected_["labels"][row]);
      const std::array<std::int64_t, 3> positions = {0, length / 2, length - 1};
      for (std::size_t i = 0; i < positions.size(); ++i) {
        const auto values = at::tensor(expected[row][i].get<std::vector<float>>());
        EXPECT_LE(distance(logits[static_cast<std::int64_t>(row)][positions[i]], values), 1e-4)
            << "row " << row << ", position " << positions[i];
      }
    }
  }

  Tensor mean_loss(Model& model, const std::vector<model::AdapterId>& adapters,
                   double smoothing = 0) const {
    const Loss loss = sequence_to_sequence(model, source(), labels_, smoothing, adapters);
    return loss.sum / static_cast<double>(loss.count);
  }

  void expect_losses(Model& model, const std::vector<model::AdapterId>& adapters,
                     const io::Json& expected) const {
    const at::NoGradGuard no_grad;
    const auto of = [&](double smoothing) {
      return mean_loss(model, adapters, smoothing).item<double>();
    };
    EXPECT_NEAR(of(0), expected["loss"].get<double>(), 2e-5);
    EXPECT_NEAR(of(kSmoothing), expected["smoothed"].get<double>(), 2e-5);
  }

  const std::filesystem::path folder_ = kPairs / GetParam();
  const io::Json expected_ = io::read_json(folder_ / "expected.json");
  const Tensor labels_ = filled_up(expected_["labels"], -100);
};

TEST_P(EncoderDecoder, SaysWhatTransformersSaysOfAPaddedBatch) {
  Model model = load();
  expect_said(model, {}, expected_["said"]);
  expect_losses(model, {}, expected_);
}

TEST_P(EncoderDecoder, GradientsAgree) {
  for (const bool checkpointing : {false, true}) {
    SCOPED_TRACE(checkpointing ? "recomputed" : "kept");
    Model model = load({.train_weights = true});
    model.set_checkpointing(checkpointing);
    mean_loss(model, {}).backward();
    const quantized::ModelFiles files(folder_);
    std::size_t found = 0;
    for (const auto& [name, weight] : model.dense_weights()) {
      const auto id = architecture::find(files.layout(), name);
      for (const std::string& tensor : files.tensors(id)) {
        if (!expected_["gradients"].contains(tensor)) continue;
        SCOPED_TRACE(tensor);
        expect_gradient_of(weight.grad(), expected_["gradients"][tensor]);
        ++found;
      }
    }
    EXPECT_EQ(found, expected_["gradients"].size());
  }
}

TEST_P(EncoderDecoder, AnAdapterOfPeftSaysAndLearnsTheSame) {
  if (!std::filesystem::exists(folder_ / "adapter.json")) return;
  const io::Json expected = io::read_json(folder_ / "adapter.json");
  for (const bool checkpointing : {false, true}) {
    SCOPED_TRACE(checkpointing ? "recomputed" : "kept");
    Model model = load();
    model.set_checkpointing(checkpointing);
    const adapter::Adapter adapter = adapter::load(folder_ / "adapter", model.layout());
    const auto id = model.attach("default", adapter, /*train=*/true);
    expect_said(model, {id}, expected["said"]);
    expect_losses(model, {id}, expected);
    mean_loss(model, {id}).backward();
    const auto trainable = model.trainable();
    EXPECT_EQ(trainable.size(), expected["gradients"].size());
    for (const auto& [name, tensor] : trainable) {
      // "MODULE.lora_A.default"
      const std::string written = "base_model.model." + name.substr(0, name.rfind('.')) + ".weight";
      SCOPED_TRACE(written);
      ASSERT_TRUE(expected["gradients"].contains(written));
      expect_gradient_of(tensor.grad(), expected["gradients"][written]);
    }
  }
}

TEST_P(EncoderDecoder, RowsWithAndWithoutAnAdapterGoThroughOnePass) {
  if (!std::filesystem::exists(folder_ / "adapter.json")) return;
  const at::NoGradGuard no_grad;
  Model model = load();
  const auto id =
      model.attach("default", adapter::load(folder_ / "adapter", model.layout()), false);
  const auto of = [&](const std::vector<model::AdapterId>& adapters) {
    model::Input input;
    input.ids = decoder_input(model.layout(), labels_);
    input.source = source();
    input.adapters = adapters;
    return model.hidden(input);
  };
  const Tensor both = of({id, model::kNoAdapter});
  EXPECT_LE(distance(both[0], of({id})[0]), 1e-5);
  EXPECT_LE(distance(both[1], of({})[1]), 1e-5);
}

TEST_P(EncoderDecoder, AnAdapterIsWrittenAsPeftWroteIt) {
  if (!std::filesystem::exists(folder_ / "adapter.json")) return;
  const test::TemporaryFolder written;
  const quantized::ModelFiles files(folder_);
  adapter::save(adapter::load(folder_ / "adapter", files.layout()), written.path(),
                ElementType::f32, files.layout());
  const io::SafetensorsFile ours(written / "adapter_model.safetensors");
  const io::SafetensorsFile theirs(folder_ / "adapter/adapter_model.safetensors");
  for (const io::TensorInfo& info : theirs.tensors()) {
    if (info.name.find(".base_layer.") != std::string::npos) continue;  // a copy of the base's
    const io::TensorInfo* own = ours.find(info.name);
    ASSERT_NE(own, nullptr) << info.name;
    EXPECT_TRUE(std::ranges::equal(ours.bytes(*own), theirs.bytes(info))) << info.name;
  }
  EXPECT_EQ(io::read_json(written / "adapter_config.json")["task_type"], "SEQ_2_SEQ_LM");
}

TEST_P(EncoderDecoder, ACacheThatHoldsTheSourceGivesTheSameStates) {
  Model model = load();
  for (std::size_t row = 0; row < expected_["ids"].size(); ++row) {
    const auto ids = expected_["ids"][row].get<std::vector<std::int64_t>>();
    const at::NoGradGuard no_grad;
    model::Input input;
    input.ids = decoder_input(
        model.layout(),
        at::tensor(expected_["labels"][row].get<std::vector<std::int64_t>>()).unsqueeze(0));
    input.source.ids = at::tensor(ids).unsqueeze(0);
    const Tensor whole = model.hidden(input)[0];
    const std::int64_t length = input.ids.size(1);
    model::KeyValueCache cache = model.make_cache(length, ids);
    std::vector<std::int64_t> target(input.ids.data_ptr<std::int64_t>(),
                                     input.ids.data_ptr<std::int64_t>() + length);
    // Three at once, then one by one.
    for (std::int64_t at = 0, count = 3; at < length; at += count, count = 1) {
      const Tensor states = model.extend(
          {{&cache, {target.begin() + at, target.begin() + at + count}}}, model::NewTokens::all);
      EXPECT_LE(distance(states, whole.narrow(0, at, count)), 1e-4)
          << "row " << row << " at " << at;
    }
  }
}

TEST_P(EncoderDecoder, RefusesATargetWithoutASource) {
  Model model = load();
  model::Input input;
  input.ids = decoder_input(model.layout(), labels_);
  EXPECT_THROW(model.hidden(input), InputError);
  EXPECT_THROW(model.make_cache(4), InputError);
}

INSTANTIATE_TEST_SUITE_P(Models, EncoderDecoder, testing::ValuesIn(test::names_in(kPairs)),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace qloft::objectives
