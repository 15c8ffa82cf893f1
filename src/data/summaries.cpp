#include "qloft/data/summaries.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "qloft/core/threads.h"
#include "qloft/data/known_ids.h"
#include "qloft/data/rows.h"
#include "qloft/io/fields.h"
#include "qloft/tokenizer/language.h"

namespace qloft::data {
namespace {

struct Columns {
  const char *document, *summary;
};
constexpr std::array<Columns, 3> kColumns = {
    {{"document", "summary"}, {"article", "highlights"}, {"text", "summary"}}};

Columns columns_of(const io::Field& row) {
  const auto has = [&](const Columns& c) { return row.has(c.document) && row.has(c.summary); };
  const auto found = std::ranges::find_if(kColumns, has);
  if (found != kColumns.end()) return *found;
  row.fail("expected document and summary, article and highlights, or text and summary");
}

std::vector<tokenizer::TokenId> ids_of(const std::string& text,
                                       const tokenizer::Tokenizer& tokenizer, std::int64_t length,
                                       std::int64_t vocabulary_size, const ErrorLocation& where,
                                       bool* truncated = nullptr) {
  tokenizer::Encoding found;
  try {
    found = tokenizer.encode(
        text, {.truncation = tokenizer::Truncation::only_first, .max_length = length});
  } catch (const InputError& error) {
    throw InputError(where, error.what());
  }
  if (found.ids.empty()) throw InputError(where, "expected at least one token, found none");
  expect_known_ids(found.ids, vocabulary_size, tokenizer, where);
  if (truncated != nullptr) *truncated = !found.overflow.empty();
  return std::move(found.ids);
}

}  // namespace

std::vector<SummarizedText> read_summaries(const std::filesystem::path& file, std::int64_t limit) {
  const Rows rows(file);
  const std::int64_t count = limit > 0 ? std::min(limit, rows.size()) : rows.size();
  if (count == 0) throw InputError({file, {}}, "expected at least one row, found none");
  std::vector<SummarizedText> out;
  Columns columns{};
  for (std::int64_t i = 0; i < count; ++i) {
    const io::Json json = rows.read(i);
    const io::Field row(json, rows.location(i));
    if (!json.is_object()) row.refuse("an object");
    if (i == 0) columns = columns_of(row);
    out.push_back(
        {row.at(columns.document).string(), row.at(columns.summary).string(), row.where()});
  }
  return out;
}

std::string summary_prefix(const io::Json& config, const std::filesystem::path& file) {
  const io::Field field(config, file);
  const auto all = field.find("task_specific_params");
  const auto own = all ? all->find("summarization") : std::nullopt;
  return own ? own->string("prefix").value_or("") : "";
}

std::vector<SequencePair> encode_summaries(const std::vector<SummarizedText>& texts,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const PairOptions& options) {
  const auto sources =
      tokenizer::in_language(tokenizer, options.source_language, "source_language");
  const auto targets = tokenizer::for_targets(sources, options.target_language, "target_language");
  std::vector<SequencePair> out(texts.size());
  parallel_for(std::ssize(texts), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const SummarizedText& text = texts[static_cast<std::size_t>(i)];
      SequencePair& pair = out[static_cast<std::size_t>(i)];
      pair.source = ids_of(options.prefix + text.document, sources, options.source_length,
                           options.vocabulary_size, text.where, &pair.truncated);
      pair.target =
          ids_of(text.summary, targets, options.target_length, options.vocabulary_size, text.where);
    }
  });
  return out;
}

}  // namespace qloft::data
