#include "qloft/calibrate.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "qloft/core.h"
#include "qloft/objectives.h"
#include "tiny_decoder.h"

namespace qloft::calibrate {
namespace {

data::Example sequence(std::int64_t length, std::uint64_t seed) {
  data::Example out;
  Random random(seed);
  for (std::int64_t i = 0; i < length; ++i) {
    out.ids.push_back(static_cast<tokenizer::TokenId>(random.below(512)));
    out.loss_mask.push_back(i % 3 == 0 ? 0 : 1);
  }
  return out;
}

at::Tensor tensor_of(const auto& values) {
  at::Tensor out = at::empty({1, std::ssize(values)}, at::kLong);
  std::ranges::copy(values, out.data_ptr<std::int64_t>());
  return out;
}

GramSink into(std::map<std::string, std::vector<float>>& found) {
  return [&](const std::string& name, std::span<const float> triangle) {
    found[name].assign(triangle.begin(), triangle.end());
  };
}

TEST(Windows, AreDrawnOnceEachAndStayInOrder) {
  std::vector<tokenizer::TokenId> ids(103);
  std::iota(ids.begin(), ids.end(), 0);
  const auto drawn = windows(ids, 4, 10, 1);
  ASSERT_EQ(drawn.size(), 4u);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    EXPECT_EQ(drawn[i].ids.size(), 10u);
    EXPECT_EQ(drawn[i].ids[0] % 10, 0);
    EXPECT_EQ(drawn[i].loss_mask, std::vector<std::uint8_t>(10, 1));
    EXPECT_GT(drawn[i].ids[0], i > 0 ? drawn[i - 1].ids[0] : -1);
  }
  EXPECT_NE(windows(ids, 4, 10, 2)[0].ids, windows(ids, 4, 10, 3)[0].ids);
}

TEST(Windows, AreAsManyAsTheTextHas) {
  EXPECT_EQ(windows(std::vector<tokenizer::TokenId>(103), 50, 10, 0).size(), 10u);
  EXPECT_THROW(windows(std::vector<tokenizer::TokenId>(9), 50, 10, 0), InputError);
  EXPECT_THROW(windows(std::vector<tokenizer::TokenId>(9), 0, 3, 0), InputError);
  EXPECT_THROW(windows(std::vector<tokenizer::TokenId>(9), 1, 1, 0), InputError);
}

// torch's own gradients of all weights are the reference.
TEST(Fisher, IsTheMeanSquareOfTorchsGradientsByRowAndColumn) {
  auto trained = model::Model::random(test::tiny_decoder(), {.train_weights = true}, 3);
  auto frozen = model::Model::random(test::tiny_decoder(), {}, 3);
  const data::Example example = sequence(40, 5);
  const auto loss =
      objectives::next_token(trained, {tensor_of(example.ids)}, tensor_of(example.loss_mask));
  (loss.sum / static_cast<double>(loss.count)).backward();
  for (const bool checkpointing : {false, true}) {
    frozen.set_checkpointing(checkpointing);
    Fisher fisher;
    add_next_tokens(frozen, model::kNoAdapter, example, {.fisher = &fisher});
    EXPECT_EQ(fisher.size(), 15u);  // the output matrix too
    for (const auto& [name, weight] : trained.dense_weights()) {
      const auto found = fisher.find(name.substr(0, name.rfind('.')));
      if (found == fisher.end()) continue;
      const at::Tensor square = weight.grad().to(at::kDouble).pow(2);
      const at::Tensor rows = square.mean(1), columns = square.mean(0);
      for (std::int64_t i = 0; i < rows.size(0); ++i) {
        const double expected = rows[i].item<double>();
        EXPECT_NEAR(found->second.rows[static_cast<std::size_t>(i)], expected,
                    1e-3 * rows.max().item<double>())
            << name;
      }
      for (std::int64_t j = 0; j < columns.size(0); ++j) {
        const double expected = columns[j].item<double>();
        EXPECT_NEAR(found->second.columns[static_cast<std::size_t>(j)], expected,
                    1e-3 * columns.max().item<double>())
            << name;
      }
    }
  }
}

TEST(Fisher, OfTheOutputMatrixIsTheSameFromGradientsKeptAndMadeAnew) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const data::Example example = sequence(40, 5);
  const auto gradients_by = [&](std::int64_t logit_bytes) {
    at::Tensor found = at::zeros({512, 48});
    model.observe({.input = {},
                   .gradient =
                       [&](const std::string& name, const at::Tensor& input,
                           const model::Observer::OutputGradient& gradient) {
                         if (name != "lm_head") return;
                         found.narrow(0, gradient.first, gradient.values.size(1))
                             .add_(gradient.values.t().mm(input), gradient.scale);
                       },
                   .logit_bytes = logit_bytes});
    objectives::next_token(model, {tensor_of(example.ids)}, tensor_of(example.loss_mask))
        .sum.backward();
    model.observe({});
    return found;
  };
  const at::Tensor kept = gradients_by(1 << 20), anew = gradients_by(0);
  EXPECT_GT(kept.abs().max().item<double>(), 0.1);
  EXPECT_TRUE(at::allclose(kept, anew, 1e-4, 1e-6));
}

TEST(Fisher, AddsUpOverSequencesAndLeavesOutOneThatTeachesNothing) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  Fisher once, twice;
  add_next_tokens(model, model::kNoAdapter, sequence(20, 1), {.fisher = &once});
  add_next_tokens(model, model::kNoAdapter, sequence(20, 1), {.fisher = &twice});
  data::Example nothing = sequence(20, 2);
  nothing.loss_mask.assign(20, 0);
  add_next_tokens(model, model::kNoAdapter, nothing, {.fisher = &twice});
  add_next_tokens(model, model::kNoAdapter, sequence(20, 1), {.fisher = &twice});
  for (const auto& [name, sums] : once) {
    EXPECT_NEAR(twice[name].rows[0] / sums.rows[0], 2.0, 1e-6);
    EXPECT_NEAR(twice[name].columns[0] / sums.columns[0], 2.0, 1e-6);
  }
}

// The inputs that a whole forward pass shows an observer are the reference.
TEST(Gram, IsTheMeanOfInputsTimesInputsOfTheWholeModel) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const std::vector<data::Example> examples = {sequence(30, 1), sequence(17, 2)};
  std::map<std::string, at::Tensor> expected;
  model.observe({.input =
                     [&](const std::string& name, const at::Tensor& input) {
                       const at::Tensor x = input.to(at::kDouble), gram = x.t().mm(x) / 47.0;
                       at::Tensor& sum = expected[name];
                       sum = sum.defined() ? sum + gram : gram;
                     },
                 .gradient = {}});
  for (const data::Example& example : examples) {
    const at::NoGradGuard no_grad;
    model.logits(model.hidden({tensor_of(example.ids)}));
  }
  model.observe({});

  std::map<std::string, std::vector<float>> found;
  Progress silent;
  collect_gram(
      model, model::kNoAdapter, examples, nullptr, 0, into(found), [](std::int64_t) {}, silent);
  // q, o, gate and down of two layers, whose inputs the others share, and the output matrix.
  EXPECT_EQ(found.size(), 9u);
  for (const auto& [name, gram] : found) {
    const at::Tensor& reference = expected.at(name);
    const double scale = reference.abs().max().item<double>();
    const std::int64_t n = reference.size(0);
    ASSERT_EQ(std::ssize(gram), n * (n + 1) / 2) << name;
    std::size_t at = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = i; j < n; ++j) {
        ASSERT_NEAR(gram[at++], reference[i][j].item<double>(), 1e-4 * scale) << name;
      }
    }
  }
  const std::string prefix = "model.layers.1.";
  for (const auto& [one, other] :
       {std::pair("self_attn.q_proj", "self_attn.v_proj"), {"mlp.gate_proj", "mlp.up_proj"}}) {
    EXPECT_TRUE(expected.at(prefix + one).equal(expected.at(prefix + other)));
  }
}

TEST(Gram, BeginsAtALaterLayerWithTheSameNumbers) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const std::vector<data::Example> examples = {sequence(30, 1)};
  const auto collect = [&](std::int64_t first) {
    std::map<std::string, std::vector<float>> found;
    Progress silent;
    collect_gram(
        model, model::kNoAdapter, examples, nullptr, first, into(found), [](std::int64_t) {},
        silent);
    return found;
  };
  const auto all = collect(0), later = collect(1);
  EXPECT_EQ(later.size(), 5u);
  for (const auto& [name, gram] : later) {
    EXPECT_EQ(gram, all.at(name)) << name;
  }
}

// Whether activations are kept or recomputed; the second sequence teaches nothing, and is counted.
TEST(Gram, ComesFromTheForwardPassOfTheFisherInformationToo) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  std::vector<data::Example> examples = {sequence(30, 1), sequence(17, 2)};
  examples[1].loss_mask.assign(17, 0);
  std::map<std::string, std::vector<float>> expected;
  Progress silent;
  collect_gram(
      model, model::kNoAdapter, examples, nullptr, 0, into(expected), [](std::int64_t) {}, silent);
  Fisher alone;
  for (const data::Example& example : examples) {
    add_next_tokens(model, model::kNoAdapter, example, {.fisher = &alone});
  }
  for (const bool checkpointing : {false, true}) {
    model.set_checkpointing(checkpointing);
    GramSums grams(model);
    Fisher fisher;
    for (const data::Example& example : examples) {
      add_next_tokens(model, model::kNoAdapter, example, {.fisher = &fisher, .grams = &grams});
    }
    std::map<std::string, std::vector<float>> found;
    finish_grams(grams, 47, into(found));
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [name, gram] : found) {
      ASSERT_EQ(gram.size(), expected.at(name).size()) << name;
      const float largest = *std::ranges::max_element(gram);
      for (std::size_t i = 0; i < gram.size(); ++i) {
        ASSERT_NEAR(gram[i], expected.at(name)[i], 1e-5f * largest) << name;
      }
    }
    for (const auto& [name, sums] : alone) EXPECT_EQ(fisher[name].rows, sums.rows) << name;
  }
}

TEST(Gram, HasItsSizeForetold) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  for (const TokenWeights weights : {TokenWeights::even, TokenWeights::loss}) {
    GramSums grams(model, weights);
    std::size_t bytes = 0;
    for (auto& [name, sum] : grams.sums()) bytes += sum.triangle().size_bytes();
    EXPECT_EQ(gram_bytes(model.layout(), weights), static_cast<std::int64_t>(bytes));
  }
}

// What the observer of a backward pass of the summed loss is shown is the reference.
TEST(Gram, CountsTokensByTheMeanSquareOfTheLossesGradientByTheOutputs) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  std::vector<data::Example> examples = {sequence(30, 1), sequence(17, 2), sequence(11, 3)};
  examples[1].loss_mask.assign(17, 0);
  std::map<std::string, at::Tensor> expected;
  model.observe({.input = {},
                 .gradient = [&](const std::string& name, const at::Tensor& input,
                                 const model::Observer::OutputGradient& gradient) {
                   const at::Tensor weights =
                       (gradient.values.to(at::kDouble) * gradient.scale).square().mean(1);
                   const at::Tensor x = input.to(at::kDouble);
                   const at::Tensor gram = x.t().mm(x * weights.unsqueeze(1)) / 58.0;
                   at::Tensor& sum = expected[name];
                   sum = sum.defined() ? sum + gram : gram;
                 }});
  for (const data::Example& example : examples) {
    const auto loss =
        objectives::next_token(model, {tensor_of(example.ids)}, tensor_of(example.loss_mask));
    if (loss.count > 0) loss.sum.backward();
  }
  model.observe({});
  const auto expect_gram = [&](const std::string& name, const std::vector<float>& gram) {
    const at::Tensor& reference = expected.at(name);
    const double scale = reference.abs().max().item<double>();
    ASSERT_GT(scale, 0) << name;
    std::size_t at = 0;
    for (std::int64_t i = 0; i < reference.size(0); ++i) {
      for (std::int64_t j = i; j < reference.size(0); ++j) {
        ASSERT_NEAR(gram[at++], reference[i][j].item<double>(), 1e-4 * scale) << name;
      }
    }
  };

  // In one pass, and by weights that are kept for a pass through one block after the other.
  std::map<std::string, std::vector<float>> at_once, by_blocks;
  GramSums grams(model, TokenWeights::loss), output(model, -1, TokenWeights::loss);
  KeptWeights kept;
  for (const data::Example& example : examples) {
    add_next_tokens(model, model::kNoAdapter, example, {.grams = &grams});
    add_next_tokens(model, model::kNoAdapter, example, {.grams = &output, .weights = &kept});
  }
  finish_grams(grams, 58, into(at_once));
  finish_grams(output, 58, into(by_blocks));
  EXPECT_EQ(by_blocks.size(), 1u);
  Progress silent;
  collect_gram(
      model, model::kNoAdapter, examples, &kept, 0, into(by_blocks), [](std::int64_t) {}, silent);
  EXPECT_EQ(at_once.size(), 15u);  // one for each matrix
  EXPECT_EQ(by_blocks.size(), 15u);
  for (const auto& [name, gram] : at_once) {
    expect_gram(name, gram);
    expect_gram(name, by_blocks.at(name));
  }
}

quantized::ModelFiles encoder() {
  return quantized::ModelFiles(QLOFT_TEST_DATA "/golden/encoders/bert_sequence");
}

// torch's own gradients of all weights are the reference.
TEST(Sequence, AddsTheSquaresOfTorchsGradientsOfAnyLoss) {
  Progress silent;
  auto trained = model::Model::load(encoder(), {.train_weights = true}, silent);
  auto frozen = model::Model::load(encoder(), {}, silent);
  const model::Input input{tensor_of(std::vector<int>{1, 7, 20, 33, 2})};
  const SequenceLoss loss_of = [&](model::Model& model) {
    return objectives::classification(model, input, at::zeros({1}, at::kLong));
  };
  loss_of(trained).sum.backward();
  Fisher fisher;
  add_sequence(frozen, loss_of, {.fisher = &fisher});
  EXPECT_EQ(fisher.size(), 12u);  // none of the head
  for (const auto& [name, weight] : trained.dense_weights()) {
    const auto found = fisher.find(name.substr(0, name.rfind('.')));
    if (found == fisher.end() || !name.ends_with(".weight")) continue;
    const at::Tensor rows = weight.grad().to(at::kDouble).pow(2).mean(1);
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      EXPECT_NEAR(found->second.rows[static_cast<std::size_t>(i)], rows[i].item<double>(),
                  1e-3 * rows.max().item<double>())
          << name;
    }
  }
}

TEST(Sequence, AddsTheSameGramMatricesWithAndWithoutTheFisherInformation) {
  Progress silent;
  auto model = model::Model::load(encoder(), {}, silent);
  const model::Input input{tensor_of(std::vector<int>{1, 7, 20, 33, 2})};
  const SequenceLoss loss_of = [&](model::Model& own) {
    return objectives::classification(own, input, at::zeros({1}, at::kLong));
  };
  std::map<std::string, std::vector<float>> found[2];
  for (const bool checkpointing : {false, true}) {
    model.set_checkpointing(checkpointing);
    GramSums grams(model);
    Fisher fisher;
    add_sequence(model, loss_of, {.fisher = checkpointing ? &fisher : nullptr, .grams = &grams});
    finish_grams(grams, 5, into(found[checkpointing ? 1 : 0]));
  }
  ASSERT_EQ(found[0].size(), 8u);  // q, o, and both of the MLP, of two layers
  for (const auto& [name, gram] : found[0]) {
    EXPECT_GT(gram[0], 0.f) << name;
    const float largest = *std::ranges::max_element(gram);
    for (std::size_t i = 0; i < gram.size(); ++i) {
      ASSERT_NEAR(gram[i], found[1].at(name)[i], 1e-5f * largest) << name;
    }
  }
}

TEST(RandomSequences, AreOfTheVocabularyAloneAndTheSameForOneSeed) {
  const std::vector<tokenizer::TokenId> vocabulary = {3, 5, 8};
  const auto found = random_sequences(vocabulary, 2, 50, 1);
  ASSERT_EQ(found.size(), 2u);
  for (const data::Example& example : found) {
    ASSERT_EQ(example.ids.size(), 50u);
    for (const tokenizer::TokenId id : example.ids) {
      EXPECT_NE(std::ranges::find(vocabulary, id), vocabulary.end());
    }
  }
  EXPECT_NE(found[0].ids, found[1].ids);
  EXPECT_EQ(random_sequences(vocabulary, 2, 50, 1)[1].ids, found[1].ids);
}

}  // namespace
}  // namespace qloft::calibrate
