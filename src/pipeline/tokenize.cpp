#include "qloft/pipeline/tokenize.h"

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/data/rows.h"
#include "qloft/io.h"

namespace qloft::pipeline {

namespace {

// Calls `take` for each text of the file; returns how many there were.
std::int64_t for_each_text(const TokenizeOptions& options,
                           const std::function<void(std::string, ErrorLocation)>& take) {
  if (options.jsonl) {
    const data::Rows rows(options.file);
    for (std::int64_t i = 0; i < rows.size(); ++i) {
      const io::Json json = rows.read(i);
      const bool has_text = json.is_object() && json.contains("text") && json["text"].is_string();
      if (!has_text) {
        throw InputError(rows.location(i), "expected a JSON object with a text field \"text\"");
      }
      take(json["text"].get<std::string>(), rows.location(i));
    }
    return rows.size();
  }
  std::ifstream stream(options.file, std::ios::binary);
  if (!stream) throw SystemError({options.file, {}}, "cannot be opened", errno);
  std::int64_t count = 0;
  for (std::string line; std::getline(stream, line); ++count) {
    take(line, {options.file, "line " + std::to_string(count + 1)});
  }
  return count;
}

}  // namespace

std::int64_t tokenize(const TokenizeOptions& options,
                      const std::function<void(const TokenizedLine&)>& sink) {
  if (!std::filesystem::is_regular_file(options.file)) {
    throw InputError({options.file, {}}, "no such file");
  }
  const auto tokenizer = tokenizer::Tokenizer::load(checkpoint::resolve(options.model));
  return for_each_text(options, [&](std::string text, const ErrorLocation& where) {
    TokenizedLine result;
    try {
      result.ids = tokenizer.encode(text, !options.no_special);
    } catch (const InputError& error) {
      throw InputError(where, error.what());
    }
    if (options.decode) result.decoded = tokenizer.decode(result.ids, false);
    result.text = std::move(text);
    sink(result);
  });
}

}  // namespace qloft::pipeline
