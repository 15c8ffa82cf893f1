#include "qloft/pipeline/tokenize.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/io.h"

namespace qloft::pipeline {

std::int64_t tokenize(const TokenizeOptions& options,
                      const std::function<void(const TokenizedLine&)>& sink) {
  if (!std::filesystem::is_regular_file(options.file)) {
    throw InputError({options.file, {}}, "no such file");
  }
  const auto tokenizer = tokenizer::Tokenizer::load(checkpoint::resolve(options.model));
  std::ifstream stream(options.file, std::ios::binary);
  std::string line;
  std::int64_t count = 0;
  for (std::int64_t number = 1; std::getline(stream, line); ++number) {
    TokenizedLine result;
    if (options.jsonl) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const auto json = io::parse_json(line, options.file, number);
      const bool has_text = json.is_object() && json.contains("text") && json["text"].is_string();
      if (!has_text) {
        throw InputError({options.file, "line " + std::to_string(number)},
                         "expected a JSON object with a text field \"text\"");
      }
      result.text = json["text"].get<std::string>();
    } else {
      result.text = line;
    }
    result.ids = tokenizer.encode(result.text, !options.no_special);
    if (options.decode) result.decoded = tokenizer.decode(result.ids, false);
    sink(result);
    ++count;
  }
  return count;
}

}  // namespace qloft::pipeline
