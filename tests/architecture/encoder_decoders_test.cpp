// Layouts of encoder-decoders; their values are held against transformers in tests/objectives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "qloft/architecture.h"
#include "qloft/architecture/memory.h"
#include "qloft/core/error.h"

namespace qloft::architecture {
namespace {

using ::testing::HasSubstr;

io::Json small_t5() {
  return {{"model_type", "t5"}, {"vocab_size", 64}, {"d_model", 32},  {"d_kv", 6},
          {"d_ff", 48},         {"num_layers", 2},  {"num_heads", 4}, {"num_decoder_layers", 3}};
}

io::Json small_bart(const char* type = "bart") {
  return {{"model_type", type},
          {"vocab_size", 64},
          {"d_model", 32},
          {"encoder_layers", 1},
          {"decoder_layers", 2},
          {"encoder_ffn_dim", 48},
          {"decoder_ffn_dim", 64},
          {"encoder_attention_heads", 4},
          {"decoder_attention_heads", 2},
          {"scale_embedding", true}};
}

Layout parse_pair(const io::Json& config) {
  return read_layout(config, "m/config.json");
}

const Attention& attention_at(const Layout& layout, std::int64_t block, std::size_t branch) {
  return std::get<Attention>(layout.blocks[static_cast<std::size_t>(block)].branches[branch].body);
}

TEST(EncoderDecoderLayout, HasTheEncodersBlocksFirst) {
  const Layout layout = parse_pair(small_t5());
  EXPECT_EQ(layout.head.kind, HeadKind::sequence_to_sequence);
  ASSERT_TRUE(layout.encoder.has_value());
  EXPECT_EQ(layout.layers(), 5);
  EXPECT_EQ(layout.first_block(), 2);
  EXPECT_FALSE(attention_at(layout, 0, 0).causal);
  EXPECT_TRUE(attention_at(layout, 2, 0).causal);
  EXPECT_TRUE(attention_at(layout, 2, 1).cross);
  const Parameter& last =
      layout.parameter(find(layout, "decoder.block.2.layer.2.DenseReluDense.wo.weight"));
  EXPECT_EQ(last.layer, 4);
  EXPECT_EQ(last.stack, "decoder");
  EXPECT_EQ(layout.encoder->embedding.tokens, layout.embedding.tokens);
}

TEST(EncoderDecoderLayout, T5sStacksHaveATableOfDistancesEach) {
  const Layout layout = parse_pair(small_t5());
  const ParameterId encoders = attention_at(layout, 0, 0).bias->table;
  const ParameterId decoders = attention_at(layout, 2, 0).bias->table;
  EXPECT_EQ(attention_at(layout, 1, 0).bias->table, encoders);
  EXPECT_EQ(attention_at(layout, 4, 0).bias->table, decoders);
  EXPECT_NE(encoders, decoders);
  EXPECT_FALSE(attention_at(layout, 2, 1).bias.has_value());
}

TEST(EncoderDecoderLayout, ScalesAnOutputMatrixThatIsTied) {
  io::Json config = small_t5();
  EXPECT_DOUBLE_EQ(parse_pair(config).output.multiplier, 1 / std::sqrt(32.0));
  config["tie_word_embeddings"] = false;
  EXPECT_EQ(parse_pair(config).output.multiplier, 1);
  EXPECT_FALSE(has_tied_output(parse_pair(config)));
}

TEST(EncoderDecoderLayout, KeysOfACrossAttentionHaveAnotherInputThanItsQueries) {
  const Layout layout = parse_pair(small_bart());
  const Attention& cross = attention_at(layout, 1, 1);
  EXPECT_EQ(layout.parameter(cross.key.linear).input_of, cross.key.linear);
  EXPECT_EQ(layout.parameter(cross.value.linear).input_of, cross.key.linear);
  EXPECT_EQ(attention_at(layout, 0, 0).heads, 4);
  EXPECT_EQ(cross.heads, 2);
}

TEST(EncoderDecoderLayout, BartNormsEachSumAndMbartEachInput) {
  const Layout bart = parse_pair(small_bart());
  EXPECT_TRUE(bart.blocks[0].branches[0].after_sum.has_value());
  EXPECT_FALSE(bart.encoder->norm.has_value());
  EXPECT_EQ(bart.embedding.position_offset, 2);
  EXPECT_DOUBLE_EQ(bart.encoder->embedding.multiplier, std::sqrt(32.0));
  const Layout mbart = parse_pair(small_bart("mbart"));
  EXPECT_TRUE(mbart.blocks[0].branches[0].before.has_value());
  EXPECT_TRUE(mbart.encoder->norm.has_value());
  EXPECT_EQ(mbart.encoder->start_token, -1);
  EXPECT_TRUE(parse_pair(small_bart("pegasus")).embedding.sinusoids);
}

TEST(EncoderDecoderLayout, RefusesAnotherHeadInOneLine) {
  for (const auto& [type, name] : {std::pair{"bart", "BartForTokenClassification"},
                                   std::pair{"pegasus", "PegasusForSequenceClassification"}}) {
    io::Json config = small_bart(type);
    config["architectures"] = {name};
    try {
      parse_pair(config);
      FAIL() << "no error";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("architectures[0]"));
      EXPECT_THAT(error.what(), HasSubstr("ForConditionalGeneration"));
    }
  }
}

TEST(EncoderDecoderLayout, TakesTheHeadsThatTransformersHas) {
  io::Json config = small_bart();
  config["architectures"] = {"BartForSequenceClassification"};
  config["eos_token_id"] = 7;
  const Layout bart = parse_pair(config);
  EXPECT_EQ(bart.head.kind, HeadKind::sequence);
  EXPECT_EQ(bart.head.pooling, Head::Pooling::last_end);
  EXPECT_EQ(bart.head.end_token, 7);
  EXPECT_TRUE(bart.encoder && encodes(bart));
  EXPECT_EQ(bart.output.matrix, kNoParameter);
  EXPECT_EQ(head_parameters(bart).size(), 4u);
  EXPECT_NE(find(bart, "classification_head.out_proj.weight"), kNoParameter);
}

TEST(EncoderDecoderLayout, OfAT5ForTokensHasItsEncoderAlone) {
  io::Json config = small_t5();
  config["architectures"] = {"T5ForTokenClassification"};
  const Layout layout = parse_pair(config);
  EXPECT_FALSE(layout.encoder.has_value());
  EXPECT_EQ(layout.layers(), 2);
  EXPECT_NE(find(layout, "transformer.encoder.final_layer_norm.weight"), kNoParameter);
  EXPECT_EQ(
      parse_pair(with_head(config, layout, {.labels = {"bad", "good"}}, "m/config.json")).layers(),
      5);
}

TEST(EncoderDecoderLayout, IsNoModelOfNextTokens) {
  const Layout layout = parse_pair(small_t5());
  try {
    expect_next_token(layout, "m/config.json");
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("found an encoder-decoder (t5, sequence_to_sequence)"));
  }
}

TEST(EncoderDecoderLayout, ItsScoresAreNotKeptForTraining) {
  const Layout layout = parse_pair(small_t5());
  const auto of_length = [&](std::int64_t length) {
    TrainingShape shape;
    shape.length = length;
    return full_training_memory(layout, shape).activations;
  };
  // Memory is linear in the length.
  EXPECT_LT(of_length(4096), 2.1 * of_length(2048));
}

}  // namespace
}  // namespace qloft::architecture
