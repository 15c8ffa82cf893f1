// Mixtral (Jiang et al. 2024): Mistral with eight experts a layer, two for each token.
#include "shared/experts.h"
#include "shared/gated_decoder.h"

namespace qloft::architecture {

Layout mixtral(const io::Field& config) {
  LayoutBuilder builder("mixtral", "model.layers.");
  GatedDecoder decoder = read_gated_decoder(config, builder, {.default_key_value_heads = 8},
                                            4096 * 32, {.theta = 1e6});
  decoder.epsilon = config.number("rms_norm_eps", 0, 1).value_or(1e-5);
  decoder.window_of_layer.assign(static_cast<std::size_t>(decoder.sizes.layers),
                                 read_window(config, 0));
  const std::int64_t count = config.integer("num_local_experts", 1, 1 << 12).value_or(8);
  const std::int64_t chosen = config.integer("num_experts_per_tok", 1, count).value_or(2);
  decoder.experts = [=, sizes = decoder.sizes, activation = decoder.activation](
                        LayoutBuilder& b, std::int64_t) -> std::optional<Experts> {
    Experts out =
        add_experts(b, {.stem = "block_sparse_moe.", .gate = "w1", .up = "w3", .down = "w2"},
                    sizes.hidden, sizes.inner, count, activation);
    out.chosen = chosen;
    out.normalized = true;
    return out;
  };
  add_gated_decoder(builder, decoder);
  return builder.layout();
}

}  // namespace qloft::architecture
