#include "qloft/data/known_ids.h"

#include <algorithm>
#include <string>

#include "qloft/core/file.h"

namespace qloft::data {
namespace {

// Of the first id that the model has no row for, or none.
std::size_t first_unknown(std::span<const tokenizer::TokenId> ids, std::int64_t vocabulary_size) {
  if (vocabulary_size == 0) return ids.size();
  return static_cast<std::size_t>(
      std::ranges::find_if(ids, [&](auto id) { return id >= vocabulary_size; }) - ids.begin());
}

}  // namespace

void expect_known_ids(std::span<const tokenizer::TokenId> ids, std::int64_t vocabulary_size,
                      const tokenizer::Tokenizer& tokenizer, const ErrorLocation& at) {
  const std::size_t unknown = first_unknown(ids, vocabulary_size);
  if (unknown == ids.size()) return;
  throw InputError(at, "expected ids below the " + std::to_string(vocabulary_size) +
                           " rows of the model's embedding, found " + std::to_string(ids[unknown]) +
                           ", \"" + tokenizer.token(ids[unknown]) +
                           "\": the tokenizer has tokens for which the model was never resized");
}

std::vector<tokenizer::TokenId> read_text_ids(const std::filesystem::path& file,
                                              std::int64_t vocabulary_size,
                                              const tokenizer::Tokenizer& tokenizer) {
  std::vector<tokenizer::TokenId> ids = tokenizer.encode(read_file(file));
  const std::size_t unknown = first_unknown(ids, vocabulary_size);
  if (unknown == ids.size()) return ids;
  const std::string before = tokenizer.decode(std::span(ids).first(unknown));
  expect_known_ids(ids, vocabulary_size, tokenizer,
                   {file, "line " + std::to_string(1 + std::ranges::count(before, '\n')) +
                              ", token " + std::to_string(unknown + 1)});
  return ids;
}

}  // namespace qloft::data
