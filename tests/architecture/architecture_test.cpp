#include "qloft/architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"

namespace qloft::architecture {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

io::Json small_llama() {
  return {{"model_type", "llama"},  {"hidden_size", 64},        {"intermediate_size", 96},
          {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"vocab_size", 128},      {"rms_norm_eps", 1e-5},     {"max_position_embeddings", 512}};
}

Layout parse(const io::Json& config) {
  return read_layout(config, "m/config.json");
}

std::vector<std::string> names_of(const Layout& layout) {
  std::vector<std::string> out;
  for (const Parameter& parameter : layout.parameters) out.push_back(parameter.name);
  return out;
}

const Attention& attention_of(const Layout& layout, std::size_t block = 0) {
  return std::get<Attention>(layout.blocks[block].branches[0].body);
}

std::vector<std::int64_t> windows_of(const Layout& layout) {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < layout.blocks.size(); ++i) {
    out.push_back(attention_of(layout, i).window);
  }
  return out;
}

io::Json with(io::Json config, const io::Json& changes) {
  config.update(changes);
  return config;
}

std::string error_of(const io::Json& config) {
  try {
    parse(config);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Layout, OfALlamaHasItsSizes) {
  const Layout layout = parse(small_llama());
  EXPECT_EQ(layout.family, "llama");
  EXPECT_EQ(layout.layers(), 2);
  EXPECT_EQ(attention_of(layout).head_dim, 16);
  EXPECT_EQ(attention_of(layout).key_value_heads, 2);
  EXPECT_EQ(attention_of(layout).window, 0);
  EXPECT_DOUBLE_EQ(attention_of(layout).scale, 0.25);
  EXPECT_EQ(layout.blocks[0].branches[0].before->epsilon, 1e-5);
  EXPECT_EQ(layout.ropes.at(0).theta, 10000);
  EXPECT_EQ(layout.ropes.at(0).dimensions, 16);
  EXPECT_FALSE(has_tied_output(layout));
  for (const std::string& name : names_of(layout)) EXPECT_FALSE(name.ends_with(".bias")) << name;
}

TEST(Layout, OfALlamaHasTheBiasesThatItsConfigAnnounces) {
  const Layout layout = parse(with(small_llama(), {{"attention_bias", true}, {"mlp_bias", true}}));
  for (const ParameterId id : linear_layers(layout)) {
    EXPECT_NE(layout.parameter(id).bias, kNoParameter) << layout.parameter(id).name;
  }
}

TEST(Layout, OfAMistralHasTheWindowInEveryLayer) {
  const io::Json mistral = with(small_llama(), {{"model_type", "mistral"}});
  EXPECT_THAT(windows_of(parse(mistral)), ElementsAre(4096, 4096));
  EXPECT_THAT(windows_of(parse(with(mistral, {{"sliding_window", 8}}))), ElementsAre(8, 8));
  EXPECT_THAT(windows_of(parse(with(mistral, {{"sliding_window", nullptr}}))), ElementsAre(0, 0));
}

TEST(Layout, OfAQwen2HasBiasesOnQueryKeyAndValueOnly) {
  const auto names = names_of(parse(with(small_llama(), {{"model_type", "qwen2"}})));
  EXPECT_THAT(names, testing::Contains("model.layers.1.self_attn.v_proj.bias"));
  EXPECT_THAT(names, testing::Not(testing::Contains("model.layers.1.self_attn.o_proj.bias")));
}

TEST(Layout, OfAQwenHasTheWindowWhereItIsAskedFor) {
  const io::Json qwen =
      with(small_llama(),
           {{"model_type", "qwen2"}, {"use_sliding_window", true}, {"sliding_window", 9}});
  EXPECT_THAT(windows_of(parse(with(qwen, {{"max_window_layers", 1}}))), ElementsAre(0, 9));
  const io::Json types = {{"layer_types", {"sliding_attention", "full_attention"}}};
  EXPECT_THAT(windows_of(parse(with(qwen, types))), ElementsAre(9, 0));
  EXPECT_THAT(windows_of(parse(with(qwen, {{"max_window_layers", 2}}))), ElementsAre(0, 0));
}

TEST(Layout, OfAQwen3HasItsOwnHeadSizeAndNorms) {
  const Layout layout = parse(with(small_llama(), {{"model_type", "qwen3"}}));
  EXPECT_EQ(attention_of(layout).head_dim, 128);
  EXPECT_THAT(names_of(layout), testing::Contains("model.layers.0.self_attn.k_norm.weight"));
  const Layout narrow = parse(with(small_llama(), {{"model_type", "qwen3"}, {"head_dim", 32}}));
  EXPECT_EQ(attention_of(narrow).head_dim, 32);
}

TEST(Layout, OfASmolLm3LeavesLayersWithoutRotation) {
  const Layout layout =
      parse(with(small_llama(), {{"model_type", "smollm3"}, {"no_rope_layers", {1, 0}}}));
  EXPECT_EQ(attention_of(layout, 0).rope, 0);
  EXPECT_EQ(attention_of(layout, 1).rope, -1);
}

TEST(Layout, OfAGemma3RotatesLocalAndGlobalLayersByTheirOwnBase) {
  const Layout layout = parse(
      with(small_llama(),
           {{"model_type", "gemma3_text"}, {"sliding_window_pattern", 2}, {"sliding_window", 5}}));
  EXPECT_EQ(layout.ropes[static_cast<std::size_t>(attention_of(layout, 0).rope)].theta, 1e4);
  EXPECT_EQ(layout.ropes[static_cast<std::size_t>(attention_of(layout, 1).rope)].theta, 1e6);
  EXPECT_THAT(windows_of(layout), ElementsAre(5, 0));
}

TEST(Layout, OfMixtralStoresExpertsInBothSpellings) {
  const Layout layout = parse(with(small_llama(), {{"model_type", "mixtral"}}));
  const ParameterId id = find(layout, "model.layers.1.mlp.experts.3.gate_up_proj.weight");
  ASSERT_NE(id, kNoParameter);
  const Parameter& expert = layout.parameter(id);
  EXPECT_THAT(expert.shape, ElementsAre(192, 64));
  ASSERT_EQ(expert.storages.size(), 2u);
  EXPECT_EQ(expert.storages[0][1].tensor, "model.layers.1.block_sparse_moe.experts.3.w3.weight");
  EXPECT_EQ(expert.storages[1][0].tensor, "model.layers.1.mlp.experts.gate_up_proj");
  EXPECT_EQ(expert.storages[1][0].index, 3);
}

TEST(Layout, ReadsBothSpellingsOfTheRotaryEmbedding) {
  const io::Json scaling = {{"factor", 8},
                            {"low_freq_factor", 1},
                            {"high_freq_factor", 4},
                            {"original_max_position_embeddings", 256}};
  const io::Json older =
      with(small_llama(),
           {{"rope_theta", 500000.0}, {"rope_scaling", with(scaling, {{"type", "llama3"}})}});
  const io::Json newer =
      with(small_llama(),
           {{"rope_parameters", with(scaling, {{"rope_type", "llama3"}, {"rope_theta", 500000}})}});
  for (const io::Json& config : {older, newer}) {
    const Rope rope = parse(config).ropes.at(0);
    EXPECT_EQ(rope.type, RopeType::llama3);
    EXPECT_EQ(rope.theta, 500000);
    EXPECT_EQ(rope.factor, 8);
    EXPECT_EQ(rope.original_max_positions, 256);
  }
}

TEST(Layout, DerivesWhatYarnLeavesOut) {
  const io::Json yarn = {
      {"rope_type", "yarn"}, {"factor", nullptr}, {"original_max_position_embeddings", 128}};
  const Rope rope = parse(with(small_llama(), {{"rope_parameters", yarn}})).ropes.at(0);
  EXPECT_EQ(rope.factor, 4);
  EXPECT_EQ(rope.beta_fast, 32);
  EXPECT_NEAR(rope.attention_factor, 1.1386294361119891, 1e-12);
}

TEST(Layout, NamesTheFieldThatIsWrong) {
  struct Case {
    io::Json change;
    const char* message;
  };
  const Case cases[] = {
      {{{"model_type", "gpt1"}},
       "m/config.json: model_type: expected one of bart, bert, deberta_v2, "},
      {{{"model_type", "gpt1"}}, ", xlm_roberta, found \"gpt1\""},
      {{{"model_type", nullptr}}, "model_type: expected one of"},
      {{{"hidden_size", nullptr}}, "hidden_size: expected a value, found none"},
      {{{"hidden_size", 63}}, "hidden_size: expected a multiple of num_attention_heads"},
      {{{"hidden_size", 1e300}}, "hidden_size: expected a whole number"},
      {{{"hidden_size", 18446744073709551615u}}, "hidden_size: expected a whole number"},
      {{{"vocab_size", -1}}, "vocab_size: expected a whole number from 1 to"},
      {{{"num_hidden_layers", 1000000}}, "num_hidden_layers: expected"},
      {{{"num_key_value_heads", 3}}, "num_key_value_heads: expected a divisor"},
      {{{"head_dim", 15}}, "head_dim: expected an even number"},
      {{{"hidden_act", "mish"}}, "hidden_act: expected one of silu, swish, gelu, "},
      {{{"tie_word_embeddings", 1}}, "tie_word_embeddings: expected true or false, found 1"},
      {{{"rope_theta", "x"}}, "rope_theta: expected a number"},
      {{{"rope_scaling", 3}}, "rope_scaling: expected an object, found 3"},
      {{{"rope_scaling", {{"type", "x"}}}}, "rope_scaling.type: expected one of default, linear"},
      {{{"rope_scaling", {{"type", "longrope"}}}}, "rope_scaling.short_factor: expected 8 numbers"},
      {{{"partial_rotary_factor", 0.1}}, "partial_rotary_factor: expected a share"},
      {{{"rope_scaling", {{"type", "linear"}}}},
       "rope_scaling.factor: expected a value, found none"},
      {{{"rope_parameters", {{"full_attention", io::Json::object()}}}},
       "rope_parameters.full_attention: "},
      {{{"rms_norm_eps", -1}}, "rms_norm_eps: expected a number from 0 to 1, found -1"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(error_of(with(small_llama(), c.change)), HasSubstr(c.message)) << c.change;
  }
  EXPECT_THAT(error_of(io::Json::array()), HasSubstr("m/config.json: expected an object"));
}

TEST(Layout, ListsLinearLayersInTheOrderOfTheForwardPass) {
  const Layout layout = parse(small_llama());
  const auto layers = linear_layers(layout);
  ASSERT_EQ(layers.size(), 14u);
  EXPECT_EQ(layout.parameter(layers[0]).module(), "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(layout.parameter(layers[1]).rows(), 32);
  const Parameter& last = layout.parameter(layers[13]);
  EXPECT_EQ(last.module(), "model.layers.1.mlp.down_proj");
  EXPECT_THAT(last.shape, ElementsAre(64, 96));
}

TEST(Layout, CountsTiedEmbeddingsOnce) {
  const std::int64_t separate = parameter_count(parse(small_llama()));
  const Layout tied = parse(with(small_llama(), {{"tie_word_embeddings", true}}));
  EXPECT_EQ(separate, 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96 + 2 * 64) + 64 + 2 * 128 * 64);
  EXPECT_EQ(parameter_count(tied), separate - 128 * 64);
  EXPECT_EQ(parameter_count(untied(tied)), separate);
}

}  // namespace
}  // namespace qloft::architecture
