// DeBERTa v2 and v3 (He et al. 2021): attention by content and by distance apart.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "shared/encoder.h"

namespace qloft::architecture {
namespace {

// Which parts of a score there are beside query times key.
struct Parts {
  bool content_to_position = false, position_to_content = false;
  double count() const {
    return 1.0 + (content_to_position ? 1 : 0) + (position_to_content ? 1 : 0);
  }
};

Parts read_parts(const io::Field& config) {
  Parts out;
  const auto field = config.find("pos_att_type");
  if (!field) return out;
  const auto add = [&](const io::Field& where, std::string name) {
    std::erase(name, ' ');
    if (name == "c2p") {
      out.content_to_position = true;
    } else if (name == "p2c") {
      out.position_to_content = true;
    } else {
      where.fail("expected c2p, p2c or both, found \"" + name + "\"");
    }
  };
  if (!field->json().is_string()) {
    for (const io::Field& part : field->elements()) add(part, part.string());
    return out;
  }
  std::string text = field->string();
  for (std::size_t bar; (bar = text.find('|')) != std::string::npos; text.erase(0, bar + 1)) {
    add(*field, text.substr(0, bar));
  }
  add(*field, text);
  return out;
}

std::int64_t positive(const io::Field& config, const char* key, std::int64_t fallback) {
  const std::int64_t value = config.integer(key, -1, kMaxSize).value_or(-1);
  return value < 1 ? fallback : value;
}

// What all blocks share of them.
Distances add_distances(const io::Field& config, LayoutBuilder& builder, const Encoder& encoder,
                        const std::string& stem) {
  Distances out;
  out.longest = positive(config, "max_relative_positions", builder.layout().max_positions);
  out.buckets = positive(config, "position_buckets", 0);
  out.span = out.buckets > 0 ? out.buckets : out.longest;
  out.table = builder.distance_embedding(stem + "encoder.rel_embeddings", 2 * out.span,
                                         encoder.sizes.hidden);
  if (config.string("norm_rel_ebd").value_or("none").find("layer_norm") != std::string::npos) {
    out.norm =
        builder.layer_norm(stem + "encoder.LayerNorm", encoder.sizes.hidden, encoder.epsilon);
  }
  return out;
}

// Its parameters are the first block's, whatever their names.
void add_convolution(const io::Field& config, LayoutBuilder& builder, const Encoder& encoder,
                     const std::string& stem) {
  const std::int64_t hidden = encoder.sizes.hidden;
  Convolution out;
  out.width = config.integer("conv_kernel_size", 0, kMaxSize).value_or(0);
  if (out.width == 0) return;
  if (out.width % 2 == 0) {
    config.fail("conv_kernel_size", "expected an odd number, found " + std::to_string(out.width));
  }
  out.groups = config.integer("conv_groups", 1, hidden).value_or(1);
  if (hidden % out.groups != 0) {
    config.fail("conv_groups", "expected a divisor of hidden_size (" + std::to_string(hidden) +
                                   "), found " + std::to_string(out.groups));
  }
  out.activation = read_activation(config, "conv_act", "tanh");
  Layout& layout = builder.layout();
  const auto first = layout.parameters.size();
  const std::int64_t part = hidden / out.groups;
  out.weight = builder.linear(stem + "encoder.conv.conv", hidden, part * out.width,
                              {.bias = true, .role = Role::convolution});
  out.norm = builder.layer_norm(stem + "encoder.conv.LayerNorm", hidden, encoder.epsilon);
  Parameter& weight = layout.parameters[first];
  weight.storages = {{{weight.name, {hidden, part, out.width}}}};
  for (auto i = first; i < layout.parameters.size(); ++i) layout.parameters[i].layer = 0;
  layout.blocks.front().convolution = out;
}

}  // namespace

Layout deberta_v2(const io::Field& config) {
  LayoutBuilder builder("deberta-v2", stem_of(read_head(config), "deberta") + "encoder.layer.");
  Layout& layout = builder.layout();
  Encoder encoder = read_encoder(config, builder, 512, 0);
  encoder.epsilon = config.number("layer_norm_eps", 0, 1).value_or(1e-7);
  encoder.norm_behind_projection = true;
  encoder.projection = "embeddings.embed_proj";
  encoder.projection_bias = false;
  encoder.query = "query_proj";
  encoder.key = "key_proj";
  encoder.value = "value_proj";
  if (!read_flag(config, "position_biased_input", true)) encoder.positions = 0;
  const std::string stem = stem_of(layout.head, "deberta");
  const std::int64_t hidden = encoder.sizes.hidden;
  const Parts parts = read_parts(config);
  const bool shared = read_flag(config, "share_att_key", false);
  const bool relative = read_flag(config, "relative_attention", false);
  add_encoder_embeddings(builder, encoder, stem);
  std::optional<Distances> distances;
  if (relative) distances = add_distances(config, builder, encoder, stem);
  add_encoder_blocks(builder, encoder, [&](Attention& attention) {
    attention.scale = 1 / std::sqrt(static_cast<double>(attention.head_dim) * parts.count());
    if (!distances) return;
    attention.distances = distances;
    const auto own = [&](const char* name) {
      return builder.linear(std::string("attention.self.") + name, hidden, hidden, {.bias = true});
    };
    if (parts.content_to_position) {
      attention.distances->key = shared ? attention.key.linear : own("pos_key_proj");
    }
    if (parts.position_to_content) {
      attention.distances->query = shared ? attention.query.linear : own("pos_query_proj");
    }
  });
  add_convolution(config, builder, encoder, stem);
  builder.begin_head();
  if (layout.head.kind == HeadKind::masked_token) {
    const bool legacy = read_flag(config, "legacy", true);
    const std::string head = legacy ? "cls.predictions." : "lm_predictions.lm_head.";
    const std::string transform = legacy ? head + "transform." : head;
    add_masked_token_head(builder,
                          {transform + "dense",
                           transform + "LayerNorm",
                           head + "decoder",
                           head + "bias",
                           {head + "decoder.bias"}},
                          hidden, encoder.width, encoder.activation, encoder.epsilon, true);
  }
  add_sequence_head(builder, "pooler.dense", "classifier", hidden,
                    read_activation(config, "pooler_hidden_act", "gelu"));
  add_token_head(builder, hidden);
  finish_encoder(builder, "deberta", "DebertaV2");
  // Where positions are relative, checkpoints may hold absolute ones all the same.
  if (encoder.positions == 0) {
    layout.foreign_suffixes.push_back("embeddings.position_embeddings.weight");
  }
  return layout;
}

}  // namespace qloft::architecture
