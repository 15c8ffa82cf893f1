#pragma once
// A 1.1 B Llama shape with random weights, packed in memory. Making the weights takes longer than
// measuring them: they are kept from one benchmark to the next.

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "qloft/architecture.h"
#include "qloft/core.h"
#include "qloft/model.h"

namespace qloft::model {

inline constexpr std::int64_t kRank = 64;

inline architecture::Layout llama_1b() {
  const io::Json config = {{"model_type", "llama"},     {"hidden_size", 2048},
                           {"intermediate_size", 5632}, {"num_hidden_layers", 22},
                           {"num_attention_heads", 32}, {"num_key_value_heads", 4},
                           {"vocab_size", 32000},       {"max_position_embeddings", 2048},
                           {"rms_norm_eps", 1e-5}};
  return architecture::read_layout(config, "config.json");
}

inline adapter::Adapter random_adapter(const architecture::Layout& layout) {
  adapter::Adapter out;
  out.config.rank = kRank;
  out.config.alpha = static_cast<double>(kRank);
  Random random(2);
  for (const architecture::ParameterId id : architecture::linear_layers(layout)) {
    const architecture::Parameter& linear = layout.parameter(id);
    auto& factors = out.modules[linear.module()];
    factors = {Matrix(kRank, linear.columns()), Matrix(linear.rows(), kRank)};
    random.fill_normal(factors.a.values(), 0.f, 0.02f);
  }
  return out;
}

// The model packed to `bits`, with bf16 embeddings and output matrix, or the latter packed too; its
// products in 8 bits or not; the last one made is kept.
inline Model& packed_model(int bits, at::ScalarType activations, bool output_matrix = false,
                           bool int8 = false) {
  struct Kept {
    int bits;
    at::ScalarType activations;
    bool output_matrix, int8;
    Model model;
  };
  static std::optional<Kept> kept;
  if (!kept || kept->bits != bits || kept->activations != activations ||
      kept->output_matrix != output_matrix || kept->int8 != int8) {
    kept.reset();
    quant::Format format;
    format.bits = bits;
    format.second_level = quant::SecondLevel{};
    const LoadOptions options{.dtype = activations, .int8 = int8, .stored = at::kBFloat16};
    kept = Kept{bits, activations, output_matrix, int8,
                Model::random(llama_1b(), options, 1, format, output_matrix)};
    at::set_num_threads(1);
  }
  return kept->model;
}

}  // namespace qloft::model
