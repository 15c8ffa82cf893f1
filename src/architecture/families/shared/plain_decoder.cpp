#include "plain_decoder.h"

#include <cmath>

namespace qloft::architecture {

Attention attention_of(const Sizes& sizes) {
  Attention out;
  out.heads = sizes.heads;
  out.key_value_heads = sizes.key_value_heads;
  out.head_dim = sizes.head_dim;
  out.scale = 1 / std::sqrt(static_cast<double>(sizes.head_dim));
  return out;
}

void add_fused_attention(LayoutBuilder& builder, const Sizes& sizes, const std::string& fused,
                         std::int64_t groups, const std::string& output,
                         const LayoutBuilder::LinearOptions& options, Attention& attention) {
  const std::int64_t queries = sizes.heads * sizes.head_dim;
  const std::int64_t keys = sizes.key_value_heads * sizes.head_dim;
  const ParameterId linear = builder.linear(fused, queries + 2 * keys, sizes.hidden, options);
  builder.split_heads(linear, groups, attention);
  attention.output = builder.linear(output, sizes.hidden, queries, options);
}

void add_separate_attention(LayoutBuilder& builder, const Sizes& sizes, const std::string& stem,
                            const std::string& output, bool query_key_value_bias, bool output_bias,
                            Attention& attention) {
  const std::int64_t queries = sizes.heads * sizes.head_dim;
  const std::int64_t keys = sizes.key_value_heads * sizes.head_dim;
  LayoutBuilder::LinearOptions options{.bias = query_key_value_bias,
                                       .group = builder.full_name(stem)};
  const ParameterId query = builder.linear(stem + ".q_proj", queries, sizes.hidden, options);
  attention.query = builder.whole(query);
  options.input_of = query;
  attention.key = builder.whole(builder.linear(stem + ".k_proj", keys, sizes.hidden, options));
  attention.value = builder.whole(builder.linear(stem + ".v_proj", keys, sizes.hidden, options));
  attention.output =
      builder.linear(stem + "." + output, sizes.hidden, queries, {.bias = output_bias});
}

Mlp add_plain_mlp(LayoutBuilder& builder, const Sizes& sizes, const std::string& up,
                  const std::string& down, const LayoutBuilder::LinearOptions& options,
                  Activation activation) {
  Mlp out;
  out.activation = activation;
  out.up = builder.whole(builder.linear(up, sizes.inner, sizes.hidden, options));
  out.down = builder.linear(down, sizes.hidden, sizes.inner, options);
  return out;
}

}  // namespace qloft::architecture
