#include "qloft/architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"

namespace qloft::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

io::Json small_llama() {
  return {{"model_type", "llama"},  {"hidden_size", 64},        {"intermediate_size", 96},
          {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"vocab_size", 128},      {"rms_norm_eps", 1e-5},     {"max_position_embeddings", 512}};
}

Architecture parse(const io::Json& config) {
  return parse_architecture(config, "m/config.json");
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

TEST(Architecture, ReadsALlama) {
  const Architecture a = parse(small_llama());
  EXPECT_EQ(a.family, "llama");
  EXPECT_EQ(a.head_dim, 16);
  EXPECT_EQ(a.key_value_heads, 2);
  EXPECT_EQ(a.rms_norm_epsilon, 1e-5);
  EXPECT_EQ(a.rope.theta, 10000);
  EXPECT_EQ(a.sliding_window, 0);
  EXPECT_FALSE(a.bias_qkv || a.bias_output || a.bias_mlp || a.norm_qk || a.tied_embeddings);
}

TEST(Architecture, GivesLlamaWithBiasesWhatItsConfigSays) {
  const Architecture a = parse(with(small_llama(), {{"attention_bias", true}, {"mlp_bias", true}}));
  EXPECT_TRUE(a.bias_qkv && a.bias_output && a.bias_mlp);
}

TEST(Architecture, GivesEveryMistralLayerTheWindow) {
  const io::Json mistral = with(small_llama(), {{"model_type", "mistral"}});
  EXPECT_EQ(parse(mistral).sliding_window, 4096);
  EXPECT_THAT(parse(with(mistral, {{"sliding_window", 8}})).layer_uses_window, ElementsAre(1, 1));
  const Architecture none = parse(with(mistral, {{"sliding_window", nullptr}}));
  EXPECT_EQ(none.sliding_window, 0);
  EXPECT_THAT(none.layer_uses_window, ElementsAre(0, 0));
}

TEST(Architecture, GivesQwen2BiasesOnQueryKeyAndValueOnly) {
  const Architecture a = parse(with(small_llama(), {{"model_type", "qwen2"}}));
  EXPECT_TRUE(a.bias_qkv);
  EXPECT_FALSE(a.bias_output);
  EXPECT_EQ(a.sliding_window, 0);
}

TEST(Architecture, GivesQwenTheWindowWhereItIsAskedFor) {
  const io::Json qwen =
      with(small_llama(), {{"model_type", "qwen2"}, {"use_sliding_window", true}});
  EXPECT_THAT(parse(with(qwen, {{"max_window_layers", 1}})).layer_uses_window, ElementsAre(0, 1));
  const io::Json types = {{"layer_types", {"sliding_attention", "full_attention"}}};
  EXPECT_THAT(parse(with(qwen, types)).layer_uses_window, ElementsAre(1, 0));
  EXPECT_EQ(parse(with(qwen, {{"max_window_layers", 2}})).sliding_window, 0);
}

TEST(Architecture, GivesQwen3ItsOwnHeadSizeAndNorms) {
  const Architecture a = parse(with(small_llama(), {{"model_type", "qwen3"}}));
  EXPECT_EQ(a.head_dim, 128);
  EXPECT_TRUE(a.norm_qk);
  EXPECT_FALSE(a.bias_qkv);
  EXPECT_EQ(parse(with(small_llama(), {{"model_type", "qwen3"}, {"head_dim", 32}})).head_dim, 32);
}

TEST(Architecture, ReadsBothSpellingsOfTheRotaryEmbedding) {
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
    const Rope rope = parse(config).rope;
    EXPECT_EQ(rope.type, RopeType::llama3);
    EXPECT_EQ(rope.theta, 500000);
    EXPECT_EQ(rope.factor, 8);
    EXPECT_EQ(rope.original_max_positions, 256);
  }
}

TEST(Architecture, DerivesWhatYarnLeavesOut) {
  const io::Json yarn = {
      {"rope_type", "yarn"}, {"factor", nullptr}, {"original_max_position_embeddings", 128}};
  const Rope rope = parse(with(small_llama(), {{"rope_parameters", yarn}})).rope;
  EXPECT_EQ(rope.factor, 4);
  EXPECT_EQ(rope.beta_fast, 32);
  EXPECT_NEAR(rope.attention_factor, 1.1386294361119891, 1e-12);
}

TEST(Architecture, NamesTheFieldThatIsWrong) {
  struct Case {
    io::Json change;
    const char* message;
  };
  const Case cases[] = {
      {{{"model_type", "gpt2"}},
       "m/config.json: model_type: expected one of llama, mistral, qwen2, qwen3, found \"gpt2\""},
      {{{"model_type", nullptr}}, "model_type: expected one of"},
      {{{"hidden_size", nullptr}}, "hidden_size: expected a whole number"},
      {{{"hidden_size", 63}}, "hidden_size: expected a multiple of num_attention_heads"},
      {{{"hidden_size", 1e300}}, "hidden_size: expected a whole number"},
      {{{"hidden_size", 18446744073709551615u}}, "hidden_size: expected a whole number"},
      {{{"vocab_size", -1}}, "vocab_size: expected a whole number from 1 to"},
      {{{"num_hidden_layers", 1000000}}, "num_hidden_layers: expected"},
      {{{"num_key_value_heads", 3}}, "num_key_value_heads: expected a divisor"},
      {{{"head_dim", 15}}, "head_dim: expected an even number"},
      {{{"hidden_act", "gelu"}}, "hidden_act: expected \"silu\", found \"gelu\""},
      {{{"tie_word_embeddings", 1}}, "tie_word_embeddings: expected true or false, found 1"},
      {{{"rope_theta", "x"}}, "rope_theta: expected a number"},
      {{{"rope_scaling", 3}}, "rope_scaling: expected an object, found 3"},
      {{{"rope_scaling", {{"type", "su"}}}}, "rope_scaling.type: expected one of default, linear"},
      {{{"rope_scaling", {{"type", "linear"}}}}, "rope_scaling.factor: expected a number"},
      {{{"rope_parameters", {{"full_attention", io::Json::object()}}}},
       "rope_parameters.full_attention: "},
      {{{"rms_norm_eps", -1}}, "rms_norm_eps: expected a number from 0 to 1, found -1"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(error_of(with(small_llama(), c.change)), HasSubstr(c.message)) << c.change;
  }
  EXPECT_THAT(error_of(io::Json::array()), HasSubstr("m/config.json: expected an object"));
}

TEST(Architecture, ListsLinearLayersInTheOrderOfTheForwardPass) {
  const auto layers = linear_layers(parse(small_llama()));
  ASSERT_EQ(layers.size(), 14u);
  EXPECT_EQ(layers[0].name, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(layers[1].out, 32);
  EXPECT_EQ(layers[13].name, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(layers[13].out, 64);
  EXPECT_EQ(layers[13].in, 96);
}

TEST(Architecture, CountsTiedEmbeddingsOnce) {
  const std::int64_t untied = parameter_count(parse(small_llama()));
  const Architecture tied = parse(with(small_llama(), {{"tie_word_embeddings", true}}));
  EXPECT_EQ(untied, 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96 + 2 * 64) + 64 + 2 * 128 * 64);
  EXPECT_EQ(parameter_count(tied), untied - 128 * 64);
  EXPECT_TRUE(is_redundant_tensor(tied, "lm_head.weight"));
  EXPECT_FALSE(is_redundant_tensor(parse(small_llama()), "lm_head.weight"));
}

TEST(Architecture, ExpectsBiasesAndHeadNormsWhereThereAreAny) {
  std::vector<std::string> names;
  for (const auto& tensor :
       expected_tensors(parse(with(small_llama(), {{"model_type", "qwen2"}})))) {
    names.push_back(tensor.name);
  }
  EXPECT_THAT(names, testing::Contains("model.layers.1.self_attn.v_proj.bias"));
  EXPECT_THAT(names, testing::Not(testing::Contains("model.layers.1.self_attn.o_proj.bias")));
  names.clear();
  for (const auto& tensor :
       expected_tensors(parse(with(small_llama(), {{"model_type", "qwen3"}})))) {
    names.push_back(tensor.name);
  }
  EXPECT_THAT(names, testing::Contains("model.layers.0.self_attn.k_norm.weight"));
}

}  // namespace
}  // namespace qloft::model
