#pragma once
// A Llama folder of a few kilobytes with random weights.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/core/file.h"
#include "qloft/core/progress.h"
#include "qloft/core/random.h"

namespace qloft::test {

inline io::Json tiny_config(bool tied) {
  return {{"model_type", "llama"},
          {"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 32},
          {"intermediate_size", 40},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"vocab_size", 24},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"tie_word_embeddings", tied},
          {"torch_dtype", "bfloat16"}};
}

// Written in shards of `shard_bytes`, bf16, with a tokenizer.json of no meaning.
inline void write_tiny_llama(const std::filesystem::path& folder, bool tied = false,
                             std::uint64_t shard_bytes = 1 << 30) {
  std::filesystem::create_directories(folder);
  const io::Json config = tiny_config(tied);
  io::write_json(folder / "config.json", config);
  write_file(folder / "tokenizer.json", "{}");
  const auto layout = architecture::read_layout(config, folder / "config.json");
  std::vector<io::TensorInfo> tensors;
  for (const architecture::Parameter& parameter : layout.parameters) {
    if (parameter.tied_to != architecture::kNoParameter) continue;
    tensors.push_back({parameter.name, ElementType::bf16, parameter.shape});
  }
  checkpoint::Writer writer(folder, tensors, checkpoint::Writer::Mode::create, shard_bytes);
  Random random(7);
  for (const io::TensorInfo& tensor : tensors) {
    std::vector<float> values(static_cast<std::size_t>(tensor.element_count()));
    random.fill_normal(values, 0.f, 0.1f);
    writer.write(tensor.name, checkpoint::convert_from_f32(values, tensor.type));
  }
  writer.finish();
}

// The same model with one tensor multiplied by `scale` and one of its values changed.
inline void spoil(const std::filesystem::path& from, const std::filesystem::path& to,
                  const std::string& name, float value, float scale = 1) {
  const checkpoint::Checkpoint base(from);
  std::filesystem::create_directories(to);
  std::vector<io::TensorInfo> tensors;
  for (const auto& tensor : base.names()) tensors.push_back(base.info(tensor));
  checkpoint::Writer writer(to, tensors, checkpoint::Writer::Mode::create);
  for (const auto& tensor : base.names()) {
    Matrix matrix = base.read_matrix(tensor);
    if (tensor == name) {
      for (float& element : matrix.values()) element *= scale;
      matrix(0, 1) = value;
    }
    writer.write(tensor, checkpoint::convert_from_f32(matrix.values(), ElementType::bf16));
  }
  writer.finish();
  for (const char* file : {"config.json", "tokenizer.json"}) {
    copy_file_whole(from / file, to / file);
  }
}

// Asks to stop after `updates` units, and keeps what it was told.
class StoppingProgress : public Progress {
 public:
  explicit StoppingProgress(std::uint64_t updates) : left_(updates) {}
  void update(std::uint64_t, std::string_view) override {
    if (left_ > 0) --left_;
  }
  void note(std::string_view message) override { notes += std::string(message) + "\n"; }
  bool stop_requested() const override { return left_ == 0; }

  std::string notes;

 private:
  std::uint64_t left_;
};

}  // namespace qloft::test
