// Layouts of encoders; their values are held against transformers in tests/objectives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/architecture.h"
#include "qloft/core/error.h"

namespace qloft::architecture {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

io::Json small_bert(const char* architecture) {
  return {{"model_type", "bert"},   {"architectures", {architecture}}, {"hidden_size", 32},
          {"num_hidden_layers", 2}, {"num_attention_heads", 4},        {"intermediate_size", 48},
          {"vocab_size", 64}};
}

Layout parse_encoder(const io::Json& config) {
  return read_layout(config, "m/config.json");
}

std::vector<std::string> encoder_names(const Layout& layout) {
  std::vector<std::string> out;
  for (const Parameter& parameter : layout.parameters) out.push_back(parameter.name);
  return out;
}

std::string refusal_of(const io::Json& config) {
  try {
    parse_encoder(config);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(EncoderLayout, AttendsBothWaysAndNormsEachSum) {
  const Layout layout = parse_encoder(small_bert("BertModel"));
  const Branch& first = layout.blocks[0].branches[0];
  EXPECT_FALSE(std::get<Attention>(first.body).causal);
  EXPECT_FALSE(first.before.has_value());
  EXPECT_TRUE(first.after_sum.has_value());
  EXPECT_TRUE(layout.embedding.norm.has_value());
  EXPECT_NE(layout.embedding.types, kNoParameter);
}

TEST(EncoderLayout, HasTheHeadThatArchitecturesNames) {
  EXPECT_EQ(parse_encoder(small_bert("BertModel")).head.kind, HeadKind::states);
  EXPECT_EQ(parse_encoder(small_bert("BertForMaskedLM")).head.kind, HeadKind::masked_token);
  EXPECT_EQ(parse_encoder(small_bert("BertForQuestionAnswering")).head.kind, HeadKind::spans);
  const Layout layout = parse_encoder(small_bert("BertForSequenceClassification"));
  EXPECT_EQ(layout.head.kind, HeadKind::sequence);
  EXPECT_THAT(layout.head.labels, ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_EQ(layout.head.layers.size(), 2u);
  EXPECT_THAT(encoder_names(layout), Contains("bert.pooler.dense.weight"));
  EXPECT_THAT(encoder_names(layout), Contains("classifier.bias"));
}

TEST(EncoderLayout, OfABareModelHasNamesWithoutThePrefix) {
  const Layout layout = parse_encoder(small_bert("BertModel"));
  EXPECT_THAT(encoder_names(layout), Contains("encoder.layer.1.output.dense.weight"));
  EXPECT_THAT(layout.other_prefixes, ElementsAre("bert."));
}

TEST(EncoderLayout, ReadsLabelsAndWhatTheyAreLearnedBy) {
  io::Json config = small_bert("BertForSequenceClassification");
  config["id2label"] = {{"0", "cold"}, {"1", "warm"}, {"2", "hot"}};
  EXPECT_THAT(parse_encoder(config).head.labels, ElementsAre("cold", "warm", "hot"));
  EXPECT_EQ(parse_encoder(config).head.problem, Problem::single_label);
  config["problem_type"] = "multi_label_classification";
  EXPECT_EQ(parse_encoder(config).head.problem, Problem::multi_label);
  config.erase("problem_type");
  config["id2label"] = {{"0", "degrees"}};
  EXPECT_EQ(parse_encoder(config).head.problem, Problem::regression);
}

TEST(EncoderLayout, KeepsTheHeadOutOfWhatIsQuantized) {
  const Layout layout = parse_encoder(small_bert("BertForSequenceClassification"));
  EXPECT_EQ(linear_layers(layout).size(), 12u);
  EXPECT_EQ(head_parameters(layout).size(), 4u);
  for (const ParameterId id : quantizable(layout)) EXPECT_FALSE(layout.parameter(id).in_head);
}

TEST(EncoderLayout, OfARobertaBeginsPositionsBehindThePadding) {
  io::Json config = small_bert("RobertaModel");
  config["model_type"] = "roberta";
  config["max_position_embeddings"] = 514;
  const Layout layout = parse_encoder(config);
  EXPECT_EQ(layout.embedding.position_offset, 2);
  EXPECT_EQ(layout.embedding.uncounted, 1);
  EXPECT_EQ(layout.max_positions, 512);
}

TEST(EncoderLayout, OfADebertaSharesTheTableOfDistances) {
  io::Json config = small_bert("DebertaV2Model");
  config.update({{"model_type", "deberta-v2"},
                 {"relative_attention", true},
                 {"position_buckets", 16},
                 {"share_att_key", true},
                 {"pos_att_type", "p2c|c2p"},
                 {"position_biased_input", false}});
  const Layout layout = parse_encoder(config);
  const auto& first = std::get<Attention>(layout.blocks[0].branches[0].body);
  const auto& second = std::get<Attention>(layout.blocks[1].branches[0].body);
  ASSERT_TRUE(first.distances && second.distances);
  EXPECT_EQ(first.distances->table, second.distances->table);
  EXPECT_EQ(layout.parameter(first.distances->table).rows(), 32);
  EXPECT_EQ(first.distances->key, first.key.linear);
  EXPECT_EQ(layout.embedding.positions, kNoParameter);
  EXPECT_NEAR(first.scale, 1 / std::sqrt(8.0 * 3), 1e-12);
}

TEST(EncoderLayout, OfADebertaHasAConvolutionInItsFirstBlock) {
  io::Json config = small_bert("DebertaV2Model");
  config.update({{"model_type", "deberta-v2"}, {"conv_kernel_size", 3}, {"conv_groups", 2}});
  const Layout layout = parse_encoder(config);
  ASSERT_TRUE(layout.blocks[0].convolution.has_value());
  EXPECT_FALSE(layout.blocks[1].convolution.has_value());
  const Parameter& weight = layout.parameter(layout.blocks[0].convolution->weight);
  EXPECT_EQ(weight.name, "encoder.conv.conv.weight");
  EXPECT_EQ(weight.layer, 0);
  EXPECT_THAT(weight.shape, ElementsAre(32, 48));
  EXPECT_THAT(storages_of(weight)[0][0].shape, ElementsAre(32, 16, 3));
  for (const ParameterId id : quantizable(layout)) {
    EXPECT_NE(id, layout.blocks[0].convolution->weight);
  }
}

TEST(EncoderLayout, RefusesWhatIsNoEncoder) {
  EXPECT_THAT(refusal_of(small_bert("BertForMultipleChoice")), HasSubstr("BertForMultipleChoice"));
  io::Json config = small_bert("BertModel");
  config["is_decoder"] = true;
  EXPECT_THAT(refusal_of(config), HasSubstr("is_decoder"));
  config = small_bert("DebertaV2Model");
  config.update({{"model_type", "deberta-v2"}, {"conv_kernel_size", 4}});
  EXPECT_THAT(refusal_of(config), HasSubstr("conv_kernel_size: expected an odd number, found 4"));
  config.update({{"conv_kernel_size", 3}, {"conv_groups", 5}});
  EXPECT_THAT(refusal_of(config), HasSubstr("conv_groups: expected a divisor of hidden_size"));
}

TEST(WithHead, NamesTransformersClassAndLabels) {
  const io::Json config = small_bert("BertModel");
  const io::Json changed =
      with_head(config, parse_encoder(config), {.labels = {"bad", "good"}}, "m/config.json");
  EXPECT_EQ(changed["architectures"][0], "BertForSequenceClassification");
  EXPECT_EQ(changed["label2id"]["good"], 1);
  const Layout layout = parse_encoder(changed);
  EXPECT_EQ(layout.head.kind, HeadKind::sequence);
  EXPECT_THAT(layout.head.labels, ElementsAre("bad", "good"));
}

TEST(ExpectNextToken, RefusesAnEncoderInOneLine) {
  const Layout layout = parse_encoder(small_bert("BertForMaskedLM"));
  try {
    expect_next_token(layout, "m/config.json");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("predicts next tokens"));
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
  }
}

}  // namespace
}  // namespace qloft::architecture
