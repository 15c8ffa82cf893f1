#include "qloft/train/sequence_pairs.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "qloft/objectives.h"

namespace qloft::train {
namespace {

using Ids = std::vector<tokenizer::TokenId>;

at::Tensor row_of(const Ids& ids) {
  return at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(0);
}

class Pairs : public testing::TestWithParam<const char*> {
 protected:
  static model::Model load() {
    const auto folder = std::filesystem::path(QLOFT_TEST_DATA) / "golden/seq2seq" / GetParam();
    Progress silent;
    return model::Model::load(quantized::ModelFiles(folder), {.train_weights = true}, silent);
  }
  static at::Tensor gradient(const model::Model& model) {
    return model.dense_weights().front().second.grad();
  }
  const SequencePairs pairs_{{{{5, 6, 7, 8, 2}, {9, 2}, false}, {{10, 2}, {11, 12, 13, 2}, false}}};
};

TEST_P(Pairs, APaddedBatchHasTheLossAndGradientOfItsRows) {
  constexpr double kSmoothed = 0.1;
  model::Model together = load(), apart = load();
  Batch batch;
  batch.input.adapters = {model::kNoAdapter};
  batch.examples = {1, 0};
  const objectives::Loss found = pairs_.objective(kSmoothed)(together, batch);
  EXPECT_EQ(found.count, 6);
  found.sum.backward();
  double sum = 0;
  for (std::int64_t i = 0; i < 2; ++i) {
    const objectives::Loss own = objectives::sequence_to_sequence(
        apart, {row_of(pairs_[i].source)}, row_of(pairs_[i].target), kSmoothed);
    own.sum.backward();
    sum += own.sum.item<double>();
  }
  EXPECT_NEAR(found.sum.item<double>(), sum, 1e-4);
  const at::Tensor wanted = gradient(apart);
  EXPECT_LE((gradient(together) - wanted).norm().item<double>(),
            1e-4 * wanted.norm().item<double>());
}

TEST_P(Pairs, EachTokenOfATargetCounts) {
  EXPECT_EQ(pairs_.examples().predictions(), 6);
}

INSTANTIATE_TEST_SUITE_P(Models, Pairs, testing::Values("bart", "t5"),
                         [](const auto& model) { return std::string(model.param); });

}  // namespace
}  // namespace qloft::train
