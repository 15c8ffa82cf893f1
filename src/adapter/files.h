#pragma once
// The two files of an adapter's folder, and the names of their tensors.

#include <string>
#include <string_view>

namespace qloft::adapter {

inline constexpr std::string_view kPrefix = "base_model.model.";
inline constexpr const char* kConfigFile = "adapter_config.json";
inline constexpr const char* kWeightsFile = "adapter_model.safetensors";

inline std::string tensor_name(const std::string& module, bool is_a) {
  return std::string(kPrefix) + module + (is_a ? ".lora_A.weight" : ".lora_B.weight");
}
// Of an embedding, whose factors PEFT holds the other way round.
inline std::string embedding_tensor_name(const std::string& module, bool is_a) {
  return std::string(kPrefix) + module + (is_a ? ".lora_embedding_A" : ".lora_embedding_B");
}

}  // namespace qloft::adapter
