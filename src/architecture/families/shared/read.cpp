#include "read.h"

#include <array>
#include <string>
#include <utility>

namespace qloft::architecture {
namespace {

constexpr std::array<std::pair<std::string_view, Activation>, 8> kActivations = {{
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"gelu", Activation::gelu},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh},
    {"relu", Activation::relu},
    {"tanh", Activation::tanh},
}};

}  // namespace

Sizes read_sizes(const io::Field& config, const SizeNames& names) {
  Sizes out;
  out.hidden = config.at(names.hidden).integer(1, kMaxSize);
  const auto inner = config.integer(names.inner, 1, kMaxSize);
  if (!inner && names.default_inner_factor == 0) {
    config.at(names.inner).integer(1, kMaxSize);
  }
  out.inner = inner.value_or(names.default_inner_factor * out.hidden);
  out.layers = config.at(names.layers).integer(1, kMaxLayers);
  out.heads = names.default_heads == 0
                  ? config.at(names.heads).integer(1, kMaxSize)
                  : config.integer(names.heads, 1, kMaxSize).value_or(names.default_heads);
  out.key_value_heads = out.heads;
  if (names.key_value_heads != nullptr) {
    const bool is_null =
        !config.has(names.key_value_heads) && config.mentions(names.key_value_heads);
    std::int64_t fallback = names.default_key_value_heads;
    if (fallback == 0 || is_null) fallback = out.heads;
    out.key_value_heads = config.integer(names.key_value_heads, 1, kMaxSize).value_or(fallback);
    if (out.heads % out.key_value_heads != 0) {
      config.fail(names.key_value_heads, "expected a divisor of " + std::string(names.heads) +
                                             " (" + std::to_string(out.heads) + "), found " +
                                             std::to_string(out.key_value_heads));
    }
  }
  const auto head_dim =
      names.reads_head_dim ? config.integer(names.head_dim, 2, kMaxSize) : std::nullopt;
  if (!head_dim && names.default_head_dim == 0 && out.hidden % out.heads != 0) {
    config.fail(names.hidden, "expected a multiple of " + std::string(names.heads) + " (" +
                                  std::to_string(out.heads) + "), found " +
                                  std::to_string(out.hidden));
  }
  out.head_dim = head_dim.value_or(names.default_head_dim != 0 ? names.default_head_dim
                                                               : out.hidden / out.heads);
  if (out.head_dim % 2 != 0) {
    config.fail(names.head_dim, "expected an even number, found " + std::to_string(out.head_dim));
  }
  if (out.heads * out.head_dim > kMaxSize) {
    config.fail(names.head_dim, "expected at most " + std::to_string(kMaxSize) +
                                    " for all heads together, found " +
                                    std::to_string(out.heads * out.head_dim));
  }
  return out;
}

void read_common(const io::Field& config, const char* positions_key, std::int64_t default_positions,
                 Layout& layout, std::int64_t default_vocabulary) {
  layout.vocabulary_size =
      default_vocabulary == 0
          ? config.at("vocab_size").integer(1, kMaxSize)
          : config.integer("vocab_size", 1, kMaxSize).value_or(default_vocabulary);
  layout.max_positions =
      config.integer(positions_key, 1, std::int64_t{1} << 40).value_or(default_positions);
  layout.initializer_range =
      config.number("initializer_range", 0, 1).value_or(layout.initializer_range);
}

bool read_flag(const io::Field& config, const char* key, bool fallback) {
  return config.boolean(key).value_or(fallback);
}

Activation read_activation(const io::Field& config, const char* key, std::string_view fallback) {
  return activation_of(config, key, config.string(key).value_or(std::string(fallback)));
}

Activation activation_of(const io::Field& config, const char* key, std::string_view name) {
  std::string known;
  for (const auto& [candidate, activation] : kActivations) {
    if (candidate == name) return activation;
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  config.fail(key, "expected one of " + known + ", found \"" + std::string(name) + "\"");
}

std::int64_t read_window(const io::Field& config, std::int64_t fallback) {
  if (!config.has("sliding_window") && config.mentions("sliding_window")) return 0;
  return config.integer("sliding_window", 1, std::int64_t{1} << 40).value_or(fallback);
}

std::vector<bool> read_layer_types(const io::Field& config, std::int64_t layers) {
  const auto list = config.find("layer_types");
  if (!list) return {};
  const std::vector<io::Field> types = list->elements();
  if (std::ssize(types) != layers) {
    list->fail("expected a list with one entry for each of " + std::to_string(layers) + " layers");
  }
  std::vector<bool> out;
  out.reserve(types.size());
  for (const io::Field& type : types) {
    out.push_back(type.choice({"full_attention", "sliding_attention"}) == 1);
  }
  return out;
}

}  // namespace qloft::architecture
