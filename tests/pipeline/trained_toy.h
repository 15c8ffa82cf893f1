#pragma once
// A toy model as `finetune` writes one, and the texts that it was trained on.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "../train/toy.h"
#include "qloft/pipeline/finetune.h"

namespace qloft::test {

// FOLDER/NAME, after one step from random weights on the `texts` texts of FOLDER/data.jsonl.
inline void write_trained_toy(const std::filesystem::path& folder, const std::string& name,
                              int texts) {
  std::filesystem::create_directory(folder / "seed");
  io::write_json(folder / "seed/config.json", toy_config());
  write_toy_tokenizer(folder / "seed");
  write_toy_texts(folder / "data.jsonl", texts);
  pipeline::FinetuneOptions options;
  options.model = (folder / "seed").string();
  options.data = {folder / "data.jsonl"};
  options.output = folder / name;
  options.method = "full";
  options.from_random = true;
  options.train.max_steps = 1;
  options.train.length = 32;
  Progress silent;
  pipeline::finetune(options, silent);
}

}  // namespace qloft::test
