#pragma once
// Fields that several families share, under the names and with the checks that they have in common.

#include <cstdint>
#include <string_view>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/io/fields.h"

namespace qloft::architecture {

// Above any model there is; products of three of them stay within 64 bits.
inline constexpr std::int64_t kMaxSize = 1 << 24;
inline constexpr std::int64_t kMaxLayers = 1 << 12;

struct Sizes {
  std::int64_t hidden = 0;
  std::int64_t inner = 0;  // of the MLP
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t key_value_heads = 0;
  std::int64_t head_dim = 0;
};

// How a family names its sizes, and what it has where config.json says nothing.
struct SizeNames {
  const char* hidden = "hidden_size";
  const char* inner = "intermediate_size";
  const char* layers = "num_hidden_layers";
  const char* heads = "num_attention_heads";
  const char* key_value_heads = "num_key_value_heads";  // null: as many as heads
  std::int64_t default_inner_factor = 0;                // of hidden; 0: the field must be there
  std::int64_t default_heads = 0;                       // 0: the field must be there
  std::int64_t default_key_value_heads = 0;             // 0: as many as heads
  std::int64_t default_head_dim = 0;                    // 0: hidden / heads
  bool reads_head_dim = true;
  const char* head_dim = "head_dim";
};
Sizes read_sizes(const io::Field& config, const SizeNames& names = {});

// vocab_size, the positions under `positions_key`, and initializer_range.
void read_common(const io::Field& config, const char* positions_key, std::int64_t default_positions,
                 Layout& layout, std::int64_t default_vocabulary = 0);

bool read_flag(const io::Field& config, const char* key, bool fallback);

// One of silu, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu, tanh.
Activation read_activation(const io::Field& config, const char* key, std::string_view fallback);
// The one that is called so; an error names `key`.
Activation activation_of(const io::Field& config, const char* key, std::string_view name);

// The sliding window under sliding_window: `fallback` where the field is missing, 0 where it is
// null.
std::int64_t read_window(const io::Field& config, std::int64_t fallback);

// layer_types: whether each layer attends to a window only. Empty where the field is missing.
std::vector<bool> read_layer_types(const io::Field& config, std::int64_t layers);

}  // namespace qloft::architecture
