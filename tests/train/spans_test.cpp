#include "qloft/train/spans.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "qloft/objectives.h"

namespace qloft::train {
namespace {

data::SpanWindow window(std::vector<tokenizer::TokenId> ids, std::int64_t start, std::int64_t end) {
  data::SpanWindow out;
  out.types.assign(ids.size(), 0);
  out.ids = std::move(ids);
  out.start = start;
  out.end = end;
  return out;
}

model::Model load() {
  const auto folder = std::filesystem::path(QLOFT_TEST_DATA) / "golden/encoders/bert_spans";
  Progress silent;
  return model::Model::load(quantized::ModelFiles(folder), {}, silent);
}

// The second holds no answer: both are the token before all.
const Spans kSpans{{window({2, 5, 3, 6, 7, 8, 3}, 3, 4), window({2, 9, 3, 10, 3}, 0, 0)}};

TEST(Spans, OfABatchHaveTheLossOfEachWindowsOwnPositions) {
  model::Model model = load();
  Batch batch;
  batch.input.adapters = {model::kNoAdapter};
  batch.examples = {1, 0};
  const objectives::Loss found = kSpans.objective()(model, batch);
  double sum = 0;
  for (std::int64_t i = 0; i < kSpans.size(); ++i) {
    const data::SpanWindow& own = kSpans[i];
    const std::vector<std::int64_t> ids(own.ids.begin(), own.ids.end());
    const model::Input input{at::tensor(ids, at::kLong).unsqueeze(0)};
    sum += objectives::spans(model, input, at::tensor({own.start}, at::kLong),
                             at::tensor({own.end}, at::kLong))
               .sum.item<double>();
  }
  EXPECT_EQ(found.count, 4);
  EXPECT_NEAR(found.sum.item<double>(), sum, 1e-4);
}

TEST(Spans, CountTheBeginningAndTheEndOfEachWindow) {
  EXPECT_EQ(kSpans.examples().predictions(), 4);
  EXPECT_EQ(kSpans.examples().size(), 2);
}

TEST(Spans, AreToldApartByWhereAnswersStand) {
  const Spans other{{window({2, 5, 3, 6, 7, 8, 3}, 3, 5), kSpans[1]}};
  EXPECT_EQ(kSpans.examples().fingerprint(), other.examples().fingerprint());
  EXPECT_NE(kSpans.fingerprint(), other.fingerprint());
}

TEST(Spans, HaveAScoreForEachIdOfTheirWindow) {
  model::Model model = load();
  Progress silent;
  const auto together = span_scores(model, model::kNoAdapter, kSpans, 2, "spans", silent);
  const auto apart = span_scores(model, model::kNoAdapter, kSpans, 1, "spans", silent);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t length = kSpans[static_cast<std::int64_t>(i)].ids.size();
    ASSERT_EQ(together[i].starts.size(), length);
    ASSERT_EQ(together[i].ends.size(), length);
    for (std::size_t at = 0; at < length; ++at) {
      EXPECT_NEAR(together[i].starts[at], apart[i].starts[at], 1e-4);
      EXPECT_NEAR(together[i].ends[at], apart[i].ends[at], 1e-4);
    }
  }
}

}  // namespace
}  // namespace qloft::train
