#pragma once
// architecture: what distinguishes one decoder from another, as plain data read from config.json,
// and the tensors that follow from it. Needs no torch, so that quantizing starts at once; the
// decoder itself is `model`, whose namespace these types share.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/io.h"

namespace qloft::model {

// Rotary embedding: theta, and how frequencies are stretched beyond the trained length, as
// transformers' modeling_rope_utils.py names and defines it.
enum class RopeType : std::uint8_t { standard, linear, dynamic, llama3, yarn };

struct Rope {
  RopeType type = RopeType::standard;  // "default", "linear", "dynamic", "llama3", "yarn"
  double theta = 10000.0;
  double factor = 1.0;                  // all but standard
  double low_frequency_factor = 1.0;    // llama3
  double high_frequency_factor = 4.0;   // llama3
  double original_max_positions = 0.0;  // llama3, yarn; dynamic: max_positions
  double beta_fast = 32.0;              // yarn
  double beta_slow = 1.0;               // yarn
  bool truncate = true;                 // yarn: whole dimensions as the ends of the ramp
  double attention_factor = 1.0;        // yarn: what cos and sin are multiplied by
};

struct Architecture {
  std::string family;  // "llama", "mistral", "qwen2", "qwen3": config.json's model_type
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocabulary_size = 0;
  std::int64_t max_positions = 0;
  double rms_norm_epsilon = 1e-6;
  double initializer_range = 0.02;
  Rope rope;
  std::int64_t sliding_window = 0;              // 0: none
  std::vector<std::uint8_t> layer_uses_window;  // one entry a layer
  bool bias_qkv = false;
  bool bias_output = false;  // o_proj
  bool bias_mlp = false;
  bool norm_qk = false;  // RMS norm of each head's q and k
  bool tied_embeddings = false;
};

// The values of config.json's model_type that parse_architecture knows.
std::vector<std::string_view> families();

// Reads config.json, in the older (rope_theta, rope_scaling) and the newer (rope_parameters)
// spelling; fields that transformers has a default for may be missing, sizes may not. Throws
// InputError naming file and field; an unknown model_type lists the known ones.
Architecture parse_architecture(const io::Json& config, const std::filesystem::path& file);

// The linear layers that quantization and adapters address, in the order of the forward pass:
// "model.layers.0.self_attn.q_proj", ..., each with its shape [out, in].
struct LinearShape {
  std::string name;
  std::int64_t out = 0;
  std::int64_t in = 0;
  bool bias = false;
  // The first layer with the same input: q_proj for q_proj, k_proj and v_proj, gate_proj for
  // gate_proj and up_proj, else itself.
  std::string input_of;
};
std::vector<LinearShape> linear_layers(const Architecture& architecture);

// Every tensor that a dense checkpoint of this architecture has, with its shape, in the order of
// the forward pass.
struct TensorShape {
  std::string name;
  std::vector<std::int64_t> shape;
};
std::vector<TensorShape> expected_tensors(const Architecture& architecture);

// Tensors that old checkpoints hold beside the expected ones and that carry nothing: rotary
// frequencies ("...rotary_emb.inv_freq"), and a copy of tied embeddings as "lm_head.weight".
bool is_redundant_tensor(const Architecture& architecture, std::string_view name);

std::int64_t parameter_count(const Architecture& architecture);

}  // namespace qloft::model
