#include "qloft/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "qloft/core.h"
#include "temporary_folder.h"

namespace qloft::statistics {
namespace {

using testing::HasSubstr;

constexpr const char* kWeight = "model.layers.0.self_attn.k_proj.weight";
constexpr const char* kInput = "model.layers.0.self_attn.q_proj.weight";

class StatisticsFile : public ::testing::Test {
 protected:
  // Statistics of one matrix [2, 3] whose Gram matrix is 1 2 3 / 2 4 5 / 3 5 6.
  std::filesystem::path write(std::map<std::string, std::string> metadata) const {
    const std::vector<float> triangle = {1, 2, 3, 4, 5, 6}, rows = {7, 8}, columns = {9, 10, 11};
    const auto bytes = [](const std::vector<float>& values) {
      return std::as_bytes(std::span(values));
    };
    const std::vector<io::NamedBytes> tensors = {
        {gram_tensor(kInput, 3), bytes(triangle)},
        {fisher_rows_tensor(kWeight, 2), bytes(rows)},
        {fisher_columns_tensor(kWeight, 3), bytes(columns)}};
    io::write_safetensors(folder_ / "s", tensors, metadata);
    return folder_ / "s";
  }
  std::filesystem::path write() const { return write(to_metadata(origin_)); }
  // A model folder that holds an embedding alone.
  checkpoint::Checkpoint model(const std::string& name, float last) const {
    std::filesystem::create_directory(folder_ / name);
    write_file(folder_ / name / "config.json", "{}");
    std::vector<float> values(64, 0.5f);
    values.back() = last;
    io::TensorInfo info;
    info.name = "model.embed_tokens.weight";
    info.shape = {8, 8};
    const std::vector<io::NamedBytes> tensors = {{info, std::as_bytes(std::span(values))}};
    io::write_safetensors(folder_ / name / "model.safetensors", tensors);
    return checkpoint::Checkpoint(folder_ / name);
  }
  static std::string message(const std::function<void()>& body) {
    try {
      body();
    } catch (const InputError& error) {
      return error.what();
    }
    return "nothing thrown";
  }

  Origin origin_{.model = "m",
                 .identity = {"f", ""},
                 .data = "text.txt",
                 .samples = 3,
                 .length = 5,
                 .tokens = 15,
                 .seed = 4};
  test::TemporaryFolder folder_;
};

TEST_F(StatisticsFile, GivesAMatrixThatNoSequenceReachedTheMeanOfTheOthers) {
  const std::vector<float> zeros(3), rows = {1, 3}, columns = {4, 5, 9};
  const auto bytes = [](std::span<const float> values) { return std::as_bytes(values); };
  const std::vector<io::NamedBytes> tensors = {
      {fisher_rows_tensor("expert.0.weight", 2), bytes(std::span(zeros).first(2))},
      {fisher_columns_tensor("expert.0.weight", 3), bytes(zeros)},
      {fisher_rows_tensor("expert.1.weight", 2), bytes(rows)},
      {fisher_columns_tensor("expert.1.weight", 3), bytes(columns)}};
  io::write_safetensors(folder_ / "s", tensors, to_metadata(origin_));
  const File file(folder_ / "s");
  EXPECT_TRUE(file.is_unreached("expert.0.weight"));
  EXPECT_FALSE(file.is_unreached("expert.1.weight"));
  EXPECT_FALSE(file.is_unreached("expert.2.weight"));
  const auto found = file.read("expert.0.weight", "", 2, 3, decompose::Metric::fisher);
  EXPECT_THAT(found.fisher_rows, testing::Each(2.f));
  EXPECT_THAT(found.fisher_columns, testing::Each(6.f));
}

TEST_F(StatisticsFile, NamesTheTensorThatIsNotFinite) {
  const std::vector<float> triangle = {1, NAN, 3, 4, 5, 6};
  const std::vector<io::NamedBytes> tensors = {
      {gram_tensor(kInput, 3), std::as_bytes(std::span(triangle))}};
  io::write_safetensors(folder_ / "s", tensors, to_metadata(origin_));
  const File file(folder_ / "s");
  EXPECT_THAT(message([&] { file.read(kWeight, kInput, 2, 3, decompose::Metric::gram); }),
              testing::EndsWith("s: " + std::string(kInput) +
                                ".gram: expected finite values, found infinity or NaN"));
}

TEST_F(StatisticsFile, GivesBackWhatWasWrittenAndWhereItIsFrom) {
  const File file(write());
  EXPECT_EQ(file.origin().model, "m");
  EXPECT_EQ(file.origin().data, "text.txt");
  EXPECT_EQ(file.origin().tokens, 15);
  EXPECT_EQ(file.origin().seed, 4u);
  const auto found = file.read(kWeight, kInput, 2, 3, decompose::Metric::fisher_gram);
  EXPECT_THAT(found.gram.values(), testing::ElementsAre(1, 2, 3, 2, 4, 5, 3, 5, 6));
  EXPECT_THAT(found.fisher_rows, testing::ElementsAre(7, 8));
  EXPECT_THAT(found.fisher_columns, testing::ElementsAre(9, 10, 11));
}

TEST_F(StatisticsFile, HasAGramMatrixForEachWeightWhereTokensCountByTheLoss) {
  const std::vector<float> first = {1, 2, 3, 4, 5, 6}, own = {9, 8, 7, 6, 5, 4};
  const std::vector<io::NamedBytes> tensors = {
      {gram_tensor(kInput, 3), std::as_bytes(std::span(first))},
      {gram_tensor(kWeight, 3), std::as_bytes(std::span(own))}};
  origin_.token_weights = TokenWeights::loss;
  io::write_safetensors(folder_ / "s", tensors, to_metadata(origin_));
  const File file(folder_ / "s");
  EXPECT_EQ(file.origin().token_weights, TokenWeights::loss);
  EXPECT_DOUBLE_EQ(nats_of_gram(file.origin()), 15.0 / (2 * 3 * 4));
  const auto diagonal = [&](const std::string& weight) {
    const auto gram = file.read(weight, kInput, 2, 3, decompose::Metric::gram).gram;
    return std::vector{gram(0, 0), gram(1, 1), gram(2, 2)};
  };
  EXPECT_THAT(diagonal(kWeight), testing::ElementsAre(9, 6, 4));
  EXPECT_THAT(diagonal("an expert's"), testing::ElementsAre(1, 4, 6)) << "that of its inputs";
}

TEST_F(StatisticsFile, OfAnOlderFormatIsWrittenWhereTokensCountAlike) {
  EXPECT_EQ(to_metadata(origin_).at("version"), "1");
  EXPECT_FALSE(to_metadata(origin_).contains("token_weights"));
  auto wrong = to_metadata(origin_);
  wrong["token_weights"] = "some";
  EXPECT_THAT(message([&] { File(write(wrong)); }),
              HasSubstr("token_weights: expected even or loss, found 'some'"));
}

TEST_F(StatisticsFile, ReadsWhatTheMetricNeedsAlone) {
  const File file(write());
  EXPECT_TRUE(file.read("other", "other", 2, 3, decompose::Metric::frobenius).gram.empty());
  EXPECT_TRUE(file.read(kWeight, "other", 2, 3, decompose::Metric::fisher).gram.empty());
  EXPECT_TRUE(file.read("other", kInput, 2, 3, decompose::Metric::gram).fisher_rows.empty());
}

TEST_F(StatisticsFile, NamesWhatIsMissingOrMisshapen) {
  const File file(write());
  EXPECT_THAT(message([&] { file.read("w", "w", 2, 3, decompose::Metric::gram); }),
              HasSubstr("w.gram: expected it, found none (calibrate --gram collects it)"));
  EXPECT_THAT(message([&] { file.read(kWeight, kInput, 2, 4, decompose::Metric::gram); }),
              HasSubstr("expected 10 values of F32, found 6 of F32: of another model"));
  EXPECT_THAT(message([&] { file.read(kWeight, kInput, 5, 3, decompose::Metric::fisher); }),
              HasSubstr("fisher_rows: expected 5 values"));
}

TEST_F(StatisticsFile, RefusesAFileOfAnotherKindOrOfANewerVersion) {
  EXPECT_THAT(message([&] { File(write({})); }), HasSubstr("expected statistics that qloft"));
  auto metadata = to_metadata(origin_);
  metadata["version"] = "3";
  EXPECT_THAT(message([&] { File(write(metadata)); }), HasSubstr("a newer qloft wrote it"));
  metadata = to_metadata(origin_);
  metadata["tokens"] = "many";
  EXPECT_THAT(message([&] { File(write(metadata)); }),
              HasSubstr("__metadata__.tokens: expected a whole number, found 'many'"));
}

TEST_F(StatisticsFile, BelongsToTheModelWithTheSameTensors) {
  const auto one = identify(model("one", 1.f), {"model.embed_tokens.weight"}, {});
  const auto other = identify(model("other", 2.f), {"model.embed_tokens.weight"}, {});
  EXPECT_NE(one.embedding, other.embedding);
  const struct {
    const char* what;
    Identity of_file, of_model;
    const char* error;  // null: accepted
  } cases[] = {
      {"the same embedding", one, one, nullptr},
      {"another embedding", one, other, "those of another model, 'm' (their embeddings differ)"},
      {"norms where the model's embedding is packed", {"e", "n"}, {"", "n"}, nullptr},
      {"other norms under the same embedding", {"e", "n"}, {"e", "o"}, "norms and biases differ"},
      {"an old file of a packed embedding", {"", ""}, {"e", "n"}, "do not tell of which model"},
  };
  for (const auto& c : cases) {
    origin_.identity = c.of_file;
    const File file(write());
    const std::string said = message([&] { file.expect_model(c.of_model, "folder"); });
    if (c.error == nullptr) {
      EXPECT_EQ(said, "nothing thrown") << c.what;
    } else {
      EXPECT_THAT(said, HasSubstr(c.error)) << c.what;
    }
  }
}

TEST_F(StatisticsFile, AnEmbeddingThatIsNotThereHasNoHash) {
  EXPECT_EQ(identify(model("one", 1.f), {"model.embed_tokens.weight.codes"}, {}).embedding, "");
}

TEST_F(StatisticsFile, TellsWhatWasCollected) {
  const File file(write());
  EXPECT_TRUE(file.holds(kWeight, kInput, decompose::Metric::fisher_gram));
  EXPECT_FALSE(file.holds(kWeight, kWeight, decompose::Metric::gram));
  EXPECT_FALSE(file.holds(kInput, kInput, decompose::Metric::fisher));
  EXPECT_TRUE(file.holds(kInput, kWeight, decompose::Metric::frobenius));
}

}  // namespace
}  // namespace qloft::statistics
