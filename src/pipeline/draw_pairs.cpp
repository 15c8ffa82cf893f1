#include "draw_pairs.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "calibrate_inputs.h"
#include "framed_windows.h"
#include "qloft/calibrate.h"
#include "qloft/core/error.h"
#include "qloft/core/fingerprint.h"
#include "qloft/data/rows.h"
#include "qloft/data/summaries.h"

namespace qloft::pipeline {
namespace {

// Neighbours: the second is the target of the first.
std::vector<data::SequencePair> paired(std::vector<std::vector<tokenizer::TokenId>> sequences) {
  std::vector<data::SequencePair> out;
  for (std::size_t i = 0; i + 1 < sequences.size(); i += 2) {
    out.push_back({std::move(sequences[i]), std::move(sequences[i + 1])});
  }
  return out;
}

std::vector<data::SequencePair> of_random_tokens(const PairRequest& request,
                                                 const ModelInputs& model) {
  std::vector<std::vector<tokenizer::TokenId>> sequences;
  for (data::Example& example :
       random_examples(model, 2 * request.samples, request.length, request.seed)) {
    sequences.push_back(std::move(example.ids));
  }
  return paired(std::move(sequences));
}

std::vector<data::SequencePair> of_text(const PairRequest& request, const ModelInputs& model) {
  auto all = text_pairs(request.data, request.length, model);
  std::vector<data::SequencePair> out;
  for (const auto place : calibrate::draw_places(std::ssize(all), request.samples, request.seed)) {
    out.push_back(std::move(all[static_cast<std::size_t>(place)]));
  }
  return out;
}

std::vector<data::SequencePair> of_rows(const PairRequest& request, const ModelInputs& model) {
  constexpr std::int64_t kSummaryTokens = 128;
  std::vector<data::SummarizedText> all = data::read_summaries(request.data), chosen;
  for (const auto place : calibrate::draw_places(std::ssize(all), request.samples, request.seed)) {
    chosen.push_back(std::move(all[static_cast<std::size_t>(place)]));
  }
  const architecture::Layout& layout = model.files.layout();
  std::int64_t target = kSummaryTokens;
  if (layout.max_positions > 0) target = std::min(target, layout.max_positions);
  return data::encode_summaries(
      chosen, model.tokenizer(),
      {.prefix = data::summary_prefix(model.files.config(), model.files.folder() / "config.json"),
       .source_length = request.length,
       .target_length = target,
       .vocabulary_size = layout.vocabulary_size});
}

}  // namespace

std::vector<data::SequencePair> text_pairs(const std::filesystem::path& file, std::int64_t length,
                                           const ModelInputs& model) {
  std::vector<std::vector<tokenizer::TokenId>> sequences;
  for (data::Example& window : framed_windows(file, length, model)) {
    sequences.push_back(std::move(window.ids));
  }
  if (sequences.size() < 2) {
    throw InputError({file, {}}, "expected a source and a target of " + std::to_string(length) +
                                     " tokens each, found a shorter text");
  }
  return paired(std::move(sequences));
}

Pairs draw_pairs(const PairRequest& request, const ModelInputs& model) {
  std::vector<data::SequencePair> pairs = request.random_tokens ? of_random_tokens(request, model)
                                          : data::is_rows_file(request.data)
                                              ? of_rows(request, model)
                                              : of_text(request, model);
  const auto truncated = std::ranges::count_if(pairs, &data::SequencePair::truncated);
  return {train::SequencePairs(std::move(pairs)), truncated};
}

std::vector<data::Example> decoder_examples(const train::SequencePairs& pairs,
                                            const architecture::Layout& layout) {
  std::vector<data::Example> out;
  for (std::int64_t i = 0; i < pairs.size(); ++i) {
    const auto& target = pairs[i].target;
    const std::int64_t start = layout.encoder->start_token;
    data::Example& example = out.emplace_back();
    example.ids = {start >= 0 ? static_cast<tokenizer::TokenId>(start) : target.back()};
    example.ids.insert(example.ids.end(), target.begin(), target.end());
    const auto most = static_cast<std::size_t>(layout.max_positions);
    if (most > 0 && example.ids.size() > most) example.ids.resize(most);
    example.loss_mask.assign(example.ids.size(), 1);
    example.loss_mask.front() = 0;
  }
  return out;
}

std::uint64_t sources_fingerprint(const train::SequencePairs& pairs) {
  std::uint64_t hash = static_cast<std::uint64_t>(pairs.size());
  for (std::int64_t i = 0; i < pairs.size(); ++i) {
    hash = mix(hash, std::as_bytes(std::span(pairs[i].source)));
  }
  return hash;
}

}  // namespace qloft::pipeline
