#pragma once
// A model of some thousand weights, a tokenizer of single letters, and texts to learn.

#include <array>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "qloft/architecture.h"
#include "qloft/core/file.h"
#include "qloft/data.h"
#include "qloft/io.h"

namespace qloft::test {

inline constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
inline constexpr int kToyVocabulary = 28;  // the letters, the space, </s>

inline io::Json toy_config() {
  return {{"model_type", "llama"},
          {"architectures", io::Json::array({"LlamaForCausalLM"})},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"head_dim", 16},
          {"vocab_size", kToyVocabulary},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"initializer_range", 0.1},
          {"tie_word_embeddings", true},
          {"torch_dtype", "float32"}};
}

inline architecture::Layout toy_layout() {
  return architecture::read_layout(toy_config(), "config.json");
}

// tokenizer.json and tokenizer_config.json: each letter is a token.
inline void write_toy_tokenizer(const std::filesystem::path& folder) {
  io::Json vocabulary = io::Json::object();
  for (const char letter : kLetters) {
    vocabulary[std::string(1, letter)] = static_cast<int>(vocabulary.size());
  }
  vocabulary["\u0120"] = static_cast<int>(vocabulary.size());  // the space, as bytes are written
  vocabulary["</s>"] = static_cast<int>(vocabulary.size());
  const io::Json end = {{"id", kToyVocabulary - 1}, {"content", "</s>"}, {"single_word", false},
                        {"lstrip", false},          {"rstrip", false},   {"normalized", false},
                        {"special", true}};
  const io::Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const io::Json tokenizer = {
      {"version", "1.0"},
      {"added_tokens", io::Json::array({end})},
      {"normalizer", nullptr},
      {"pre_tokenizer", bytes},
      {"post_processor", nullptr},
      {"decoder", bytes},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", io::Json::array()}}}};
  io::write_json(folder / "tokenizer.json", tokenizer);
  io::write_json(folder / "tokenizer_config.json", {{"eos_token", "</s>"}});
}

// `count` texts, each a run of the alphabet that begins at another letter: after any letter the
// next one is known, so the loss can fall to that of the first guess.
inline std::filesystem::path write_toy_texts(const std::filesystem::path& file, int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    std::string text;
    for (int j = 0; j < 6 + i * 7 % 19; ++j) text += kLetters[(i * 5 + j) % kLetters.size()];
    lines += io::Json{{"text", text}}.dump() + "\n";
  }
  write_file(file, lines);
  return file;
}

inline data::DataSet toy_data(const std::filesystem::path& folder, int count,
                              std::int64_t max_length = 32) {
  write_toy_tokenizer(folder);
  data::DataOptions options;
  options.max_length = max_length;
  const data::ExampleReader reader(tokenizer::Tokenizer::load(folder), std::nullopt, options);
  return {{write_toy_texts(folder / "data.jsonl", count)}, reader};
}

inline std::vector<std::int64_t> range(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(end - begin));
  std::iota(values.begin(), values.end(), begin);
  return values;
}

}  // namespace qloft::test
