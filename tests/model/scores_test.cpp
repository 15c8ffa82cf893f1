// Heads of encoders, on checkpoints of tests/golden/make_encoders.py.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "qloft/adapter.h"
#include "qloft/core/error.h"
#include "qloft/model.h"

namespace qloft::model {
namespace {

using at::Tensor;

const std::filesystem::path kEncoders = std::filesystem::path(QLOFT_TEST_DATA) / "golden/encoders";

Model load_encoder(const std::string& name) {
  Progress silent;
  return Model::load(quantized::ModelFiles(kEncoders / name), {}, silent);
}

Tensor row_of(const std::vector<std::int64_t>& ids) {
  return at::tensor(ids, at::kLong).unsqueeze(0);
}

double distance_of(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(Scores, RowsUseTheHeadsOfTheirAdapters) {
  const at::NoGradGuard no_grad;
  Model model = load_encoder("bert_sequence");
  const auto adapter = adapter::load(kEncoders / "bert_sequence/adapter", model.layout());
  const AdapterId first = model.attach("first", adapter, false);
  adapter::Adapter other = adapter;
  for (float& value : other.saved.at("classifier.weight").values()) value *= 2;
  const AdapterId second = model.attach("second", other, false);
  const Tensor ids = at::cat({row_of({5, 6, 7}), row_of({8, 9, 10}), row_of({11, 12, 13})});
  const Tensor together = model.scores({.ids = ids, .adapters = {second, kNoAdapter, first}});
  const AdapterId order[] = {second, kNoAdapter, first};
  for (std::int64_t row = 0; row < 3; ++row) {
    const Tensor alone = model.scores({.ids = ids.narrow(0, row, 1), .adapters = {order[row]}});
    EXPECT_LE(distance_of(together[row], alone[0]), 1e-5) << row;
  }
}

TEST(Scores, OfASequenceDoNotDependOnItsPadding) {
  const at::NoGradGuard no_grad;
  for (const char* name : {"bert_sequence", "deberta_v3_sequence", "modernbert_sequence"}) {
    Model model = load_encoder(name);
    const Tensor alone = model.scores({.ids = row_of({5, 6, 7})});
    const Tensor padded =
        model.scores({.ids = row_of({5, 6, 7, 9, 9}), .segments = row_of({0, 0, 0, -1, -1})});
    EXPECT_LE(distance_of(alone, padded), 1e-5) << name;
  }
}

TEST(Scores, AreRefusedByAModelWithoutAHead) {
  Model model = load_encoder("bert_states");
  EXPECT_THROW(model.scores({.ids = row_of({5, 6})}), InputError);
}

TEST(Positions, OfARobertaAreCountedBehindPaddingOnTheLeft) {
  const at::NoGradGuard no_grad;
  Model model = load_encoder("roberta_masked");
  const Tensor alone = model.hidden({.ids = row_of({5, 6, 7})});
  const Tensor padded =
      model.hidden({.ids = row_of({1, 1, 5, 6, 7}), .segments = row_of({-1, -1, 0, 0, 0})});
  EXPECT_LE(distance_of(alone, padded.narrow(1, 2, 3)), 1e-5);
}

TEST(Types, BeyondTheModelsAreRefused) {
  Model model = load_encoder("bert_sequence");
  EXPECT_THROW(model.scores({.ids = row_of({5, 6}), .types = row_of({0, 2})}), InputError);
}

TEST(Attach, ATrainedAdapterHasAHeadOfItsOwn) {
  Model model = load_encoder("bert_sequence");
  auto adapter = adapter::load(kEncoders / "bert_sequence/adapter", model.layout());
  adapter.saved.clear();
  model.attach("default", adapter, true);
  const adapter::Adapter out = model.extract("default");
  EXPECT_EQ(out.saved.size(), 4u);  // the pooler's and the classifier's
  for (const auto& [name, tensor] : model.trainable()) EXPECT_TRUE(tensor.requires_grad()) << name;
}

}  // namespace
}  // namespace qloft::model
