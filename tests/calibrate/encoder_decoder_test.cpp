// Statistics of encoder-decoders against torch's gradients and hooks:
// tests/golden/make_statistics.py.

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "qloft/objectives.h"
#include "qloft/quantized.h"
#include "qloft/quantized/model_files.h"

namespace qloft::calibrate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json golden(const std::string& model) {
  std::ifstream in(fs::path(QLOFT_TEST_DATA) / "golden/statistics.json");
  return json::parse(in).at(model);
}

at::Tensor row_of(const json& ids) {
  return at::tensor(ids.get<std::vector<std::int64_t>>(), at::kLong).unsqueeze(0);
}

class EncoderDecoder : public ::testing::TestWithParam<std::string> {
 protected:
  EncoderDecoder() {
    Progress silent;
    const quantized::ModelFiles files(fs::path(QLOFT_TEST_DATA) / "golden/seq2seq" / GetParam());
    model_.emplace(model::Model::load(files, {}, silent));
  }
  void add(Fisher* fisher, GramSums* grams) {
    const model::Source source{row_of(expected_.at("ids")), {}};
    const at::Tensor labels = row_of(expected_.at("labels"));
    add_sequence(
        *model_,
        [&](model::Model& own) { return objectives::sequence_to_sequence(own, source, labels); },
        {.fisher = fisher, .grams = grams});
  }
  static void expect_near(const std::vector<double>& found, const json& wanted,
                          const std::string& name) {
    ASSERT_EQ(found.size(), wanted.size()) << name;
    double largest = 0;
    for (const double value : wanted) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], wanted[i].get<double>(), 1e-3 * largest) << name << " " << i;
    }
  }

  const json expected_ = golden(GetParam());
  std::optional<model::Model> model_;
};

TEST_P(EncoderDecoder, HasTheFisherFactorsOfTorchsGradientsInBothHalves) {
  Fisher fisher;
  add(&fisher, nullptr);
  for (const auto& [name, layer] : expected_.at("layers").items()) {
    ASSERT_TRUE(fisher.contains(name)) << name;
    expect_near(fisher.at(name).rows, layer.at("rows"), name);
    expect_near(fisher.at(name).columns, layer.at("columns"), name);
  }
}

// The rows of the whole matrix, of which the upper triangle is stored.
std::vector<double> row_sums(std::span<const float> triangle, std::size_t columns) {
  std::vector<double> sums(columns);
  std::size_t at = 0;
  for (std::size_t i = 0; i < columns; ++i) {
    for (std::size_t j = i; j < columns; ++j) {
      const double value = triangle[at++];
      sums[i] += value;
      if (j > i) sums[j] += value;
    }
  }
  return sums;
}

// The keys and values of what a decoder sees of its source have one among them.
TEST_P(EncoderDecoder, HasTheGramMatricesOfTorchsInputsInBothHalves) {
  GramSums grams(*model_);
  add(nullptr, &grams);
  std::size_t compared = 0;
  finish_grams(grams, 1, [&](const std::string& name, std::span<const float> triangle) {
    const auto layer = expected_.at("layers").find(name);
    if (layer == expected_.at("layers").end()) return;  // the output matrix
    expect_near(row_sums(triangle, layer->at("gram").size()), layer->at("gram"), name);
    ++compared;
  });
  EXPECT_EQ(compared + 1, grams.sums().size());
}

INSTANTIATE_TEST_SUITE_P(Golden, EncoderDecoder,
                         ::testing::Values("bart", "mbart", "t5", "t5_gated"),
                         [](const auto& of) { return of.param; });

}  // namespace
}  // namespace qloft::calibrate
