#include "qloft/architecture.h"

#include <algorithm>
#include <array>

#include "fields.h"
#include "rope.h"

namespace qloft::model {
namespace {

// Above any model there is; products of three of them stay within 64 bits.
constexpr std::int64_t kMaxSize = 1 << 24;
constexpr std::int64_t kMaxLayers = 1 << 12;

// How a family reads the fields that families read differently, and its defaults in transformers.
struct Family {
  std::string_view name;
  enum class Bias : std::uint8_t { none, qkv, configured } attention_bias;  // configured: q k v o
  bool configured_mlp_bias;
  bool norm_qk;
  enum class Window : std::uint8_t { none, all_layers, configured } window;
  std::int64_t default_head_dim;         // 0: hidden_size / heads
  std::int64_t default_key_value_heads;  // 0: as many as heads
  std::int64_t default_max_positions;
};

constexpr std::array kFamilies = {
    Family{.name = "llama",
           .attention_bias = Family::Bias::configured,
           .configured_mlp_bias = true,
           .norm_qk = false,
           .window = Family::Window::none,
           .default_head_dim = 0,
           .default_key_value_heads = 0,
           .default_max_positions = 2048},
    Family{.name = "mistral",
           .attention_bias = Family::Bias::none,
           .configured_mlp_bias = false,
           .norm_qk = false,
           .window = Family::Window::all_layers,
           .default_head_dim = 0,
           .default_key_value_heads = 8,
           .default_max_positions = 4096 * 32},
    Family{.name = "qwen2",
           .attention_bias = Family::Bias::qkv,
           .configured_mlp_bias = false,
           .norm_qk = false,
           .window = Family::Window::configured,
           .default_head_dim = 0,
           .default_key_value_heads = 32,
           .default_max_positions = 32768},
    Family{.name = "qwen3",
           .attention_bias = Family::Bias::configured,
           .configured_mlp_bias = false,
           .norm_qk = true,
           .window = Family::Window::configured,
           .default_head_dim = 128,
           .default_key_value_heads = 32,
           .default_max_positions = 32768},
};
constexpr std::int64_t kDefaultWindow = 4096;
constexpr std::int64_t kDefaultMaxWindowLayers = 28;

const Family& family_of(const Fields& config) {
  const auto name = config.text("model_type").value_or("");
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                  [&](const Family& family) { return family.name == name; });
  if (found != kFamilies.end()) return *found;
  std::string known;
  for (const Family& family : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  config.fail("model_type", "expected one of " + known + ", found " +
                                (name.empty() ? "nothing" : "\"" + name + "\""));
}

// Which layers attend to a window only: all of Mistral's; in Qwen those that layer_types names, or
// those from max_window_layers on.
void read_window(const Fields& config, const Family& family, Architecture& out) {
  out.layer_uses_window.assign(static_cast<std::size_t>(out.layers), 0);
  const bool explicit_null = !config.has("sliding_window") && config.mentions("sliding_window");
  const std::int64_t size =
      explicit_null
          ? 0
          : config.integer("sliding_window", 1, std::int64_t{1} << 40).value_or(kDefaultWindow);
  switch (family.window) {
    case Family::Window::none:
      return;
    case Family::Window::all_layers:
      std::fill(out.layer_uses_window.begin(), out.layer_uses_window.end(), size > 0 ? 1 : 0);
      break;
    case Family::Window::configured: {
      if (!config.boolean("use_sliding_window").value_or(false) || size == 0) break;
      const io::Json* types = config.find("layer_types");
      if (types != nullptr && (!types->is_array() || std::ssize(*types) != out.layers)) {
        config.fail("layer_types", "expected a list with one entry for each of " +
                                       std::to_string(out.layers) + " layers");
      }
      const std::int64_t first_window_layer =
          config.integer("max_window_layers", 0, kMaxSize).value_or(kDefaultMaxWindowLayers);
      for (std::int64_t layer = 0; layer < out.layers; ++layer) {
        bool window = layer >= first_window_layer;
        if (types != nullptr) {
          const io::Json& type = (*types)[static_cast<std::size_t>(layer)];
          window = type == "sliding_attention";
          if (!window && type != "full_attention") {
            config.fail("layer_types", "expected full_attention or sliding_attention for layer " +
                                           std::to_string(layer));
          }
        }
        out.layer_uses_window[static_cast<std::size_t>(layer)] = window;
      }
      break;
    }
  }
  const bool any = std::find(out.layer_uses_window.begin(), out.layer_uses_window.end(), 1) !=
                   out.layer_uses_window.end();
  out.sliding_window = any ? size : 0;
}

void read_heads(const Fields& config, const Family& family, Architecture& out) {
  out.heads = config.required_integer("num_attention_heads", 1, kMaxSize);
  const bool null_heads =
      !config.has("num_key_value_heads") && config.mentions("num_key_value_heads");
  std::int64_t fallback = family.default_key_value_heads;
  if (fallback == 0 || null_heads) fallback = out.heads;
  out.key_value_heads = config.integer("num_key_value_heads", 1, kMaxSize).value_or(fallback);
  if (out.heads % out.key_value_heads != 0) {
    config.fail("num_key_value_heads", "expected a divisor of num_attention_heads (" +
                                           std::to_string(out.heads) + "), found " +
                                           std::to_string(out.key_value_heads));
  }
  const auto head_dim = config.integer("head_dim", 2, kMaxSize);
  if (!head_dim && family.default_head_dim == 0 && out.hidden_size % out.heads != 0) {
    config.fail("hidden_size", "expected a multiple of num_attention_heads (" +
                                   std::to_string(out.heads) + "), found " +
                                   std::to_string(out.hidden_size));
  }
  out.head_dim = head_dim.value_or(family.default_head_dim != 0 ? family.default_head_dim
                                                                : out.hidden_size / out.heads);
  if (out.head_dim % 2 != 0) {
    config.fail("head_dim", "expected an even number, found " + std::to_string(out.head_dim));
  }
  if (out.heads * out.head_dim > kMaxSize) {
    config.fail("head_dim", "expected at most " + std::to_string(kMaxSize) +
                                " for all heads together, found " +
                                std::to_string(out.heads * out.head_dim));
  }
}

}  // namespace

std::vector<std::string_view> families() {
  std::vector<std::string_view> names;
  for (const Family& family : kFamilies) names.push_back(family.name);
  return names;
}

Architecture parse_architecture(const io::Json& json, const std::filesystem::path& file) {
  const Fields config(json, file);
  const Family& family = family_of(config);
  Architecture out;
  out.family = family.name;
  out.hidden_size = config.required_integer("hidden_size", 1, kMaxSize);
  out.intermediate_size = config.required_integer("intermediate_size", 1, kMaxSize);
  out.layers = config.required_integer("num_hidden_layers", 1, kMaxLayers);
  out.vocabulary_size = config.required_integer("vocab_size", 1, kMaxSize);
  out.max_positions = config.integer("max_position_embeddings", 1, std::int64_t{1} << 40)
                          .value_or(family.default_max_positions);
  out.rms_norm_epsilon = config.number("rms_norm_eps", 0, 1).value_or(out.rms_norm_epsilon);
  out.initializer_range = config.number("initializer_range", 0, 1).value_or(out.initializer_range);
  out.tied_embeddings = config.boolean("tie_word_embeddings").value_or(false);
  out.norm_qk = family.norm_qk;
  read_heads(config, family, out);
  read_window(config, family, out);
  out.rope = parse_rope(config, out.max_positions);

  const auto activation = config.text("hidden_act").value_or("silu");
  if (activation != "silu") {
    config.fail("hidden_act", "expected \"silu\", found \"" + activation + "\"");
  }
  if (family.attention_bias == Family::Bias::qkv) out.bias_qkv = true;
  if (family.attention_bias == Family::Bias::configured) {
    out.bias_qkv = out.bias_output = config.boolean("attention_bias").value_or(false);
  }
  if (family.configured_mlp_bias) out.bias_mlp = config.boolean("mlp_bias").value_or(false);
  return out;
}

std::vector<LinearShape> linear_layers(const Architecture& a) {
  const std::int64_t query = a.heads * a.head_dim;
  const std::int64_t key = a.key_value_heads * a.head_dim;
  std::vector<LinearShape> out;
  for (std::int64_t layer = 0; layer < a.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    const std::string q = attention + "q_proj", o = attention + "o_proj";
    const std::string gate = mlp + "gate_proj", down = mlp + "down_proj";
    out.push_back({q, query, a.hidden_size, a.bias_qkv, q});
    out.push_back({attention + "k_proj", key, a.hidden_size, a.bias_qkv, q});
    out.push_back({attention + "v_proj", key, a.hidden_size, a.bias_qkv, q});
    out.push_back({o, a.hidden_size, query, a.bias_output, o});
    out.push_back({gate, a.intermediate_size, a.hidden_size, a.bias_mlp, gate});
    out.push_back({mlp + "up_proj", a.intermediate_size, a.hidden_size, a.bias_mlp, gate});
    out.push_back({down, a.hidden_size, a.intermediate_size, a.bias_mlp, down});
  }
  return out;
}

std::vector<TensorShape> expected_tensors(const Architecture& a) {
  std::vector<TensorShape> out;
  out.push_back({"model.embed_tokens.weight", {a.vocabulary_size, a.hidden_size}});
  const auto linears = linear_layers(a);
  const std::int64_t per_layer = std::ssize(linears) / a.layers;
  for (std::int64_t layer = 0; layer < a.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    out.push_back({prefix + "input_layernorm.weight", {a.hidden_size}});
    if (a.norm_qk) {
      out.push_back({prefix + "self_attn.q_norm.weight", {a.head_dim}});
      out.push_back({prefix + "self_attn.k_norm.weight", {a.head_dim}});
    }
    out.push_back({prefix + "post_attention_layernorm.weight", {a.hidden_size}});
    for (std::int64_t i = 0; i < per_layer; ++i) {
      const LinearShape& linear = linears[static_cast<std::size_t>(layer * per_layer + i)];
      out.push_back({linear.name + ".weight", {linear.out, linear.in}});
      if (linear.bias) out.push_back({linear.name + ".bias", {linear.out}});
    }
  }
  out.push_back({"model.norm.weight", {a.hidden_size}});
  if (!a.tied_embeddings) out.push_back({"lm_head.weight", {a.vocabulary_size, a.hidden_size}});
  return out;
}

bool is_redundant_tensor(const Architecture& a, std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || (a.tied_embeddings && name == "lm_head.weight");
}

std::int64_t parameter_count(const Architecture& a) {
  std::int64_t count = 0;
  for (const TensorShape& tensor : expected_tensors(a)) {
    std::int64_t elements = 1;
    for (const std::int64_t extent : tensor.shape) elements *= extent;
    count += elements;
  }
  return count;
}

}  // namespace qloft::model
