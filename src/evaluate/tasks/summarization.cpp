// Summaries by an encoder-decoder, beside a person's: ROUGE as transformers' run_summarization.py
// counts it.

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/fingerprint.h"
#include "qloft/data/summaries.h"
#include "qloft/evaluate.h"
#include "qloft/generate.h"
#include "qloft/generate/settings.h"
#include "qloft/metrics/rouge.h"
#include "qloft/tokenizer/language.h"
#include "qloft/train/sequence_pairs.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kDocumentLength = 1024, kSummaryLength = 128;

struct SummaryOptions {
  std::int64_t limit = 0;
  std::int64_t batch = 16;
  std::int64_t length = 0;
  std::int64_t summary_length = 0;
  std::string prefix;
  std::int64_t num_beams = 0;
  std::string source_language, target_language;
  fs::path predictions;
};

template <typename Visitor>
void visit_options(SummaryOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
  v("--length", at_most(o.length, kMostTokens), kLengthHelp);
  v("--summary-length", at_most(o.summary_length, kMostTokens),
    "tokens of a summary at most; 0: what generation_config.json says, else 128");
  v("--prefix", o.prefix,
    "a text before each document (task_specific_params.summarization.prefix of config.json)");
  v("--num-beams", at_most(o.num_beams, 1 << 10),
    "sequences searched side by side; 0: what generation_config.json says");
  v("--source-language", o.source_language, generate::kSourceLanguageHelp);
  v("--target-language", o.target_language, generate::kTargetLanguageHelp);
  v("--predictions", o.predictions, kPredictionsHelp);
}

void check_summaries(const SummaryOptions& options, const fs::path& data, std::int64_t, Progress&) {
  expect_at_least(1, options.batch, "batch");
  expect_at_least(0, options.length, "length");
  expect_at_least(0, options.summary_length, "summary_length");
  expect_at_least(0, options.num_beams, "num_beams");
  if (!fs::is_regular_file(data)) throw InputError({data, {}}, "no such file");
}

// ------------------------------------------------------------------------------- data

struct SummaryData {
  train::SequencePairs pairs;
  std::vector<std::string> references;
  std::int64_t truncated = 0;
  generate::Options generation = {};
  tokenizer::TokenId start = 0;
};

std::string prefix_of(const SummaryOptions& options, const checkpoint::Checkpoint& source) {
  if (!options.prefix.empty()) return options.prefix;
  return data::summary_prefix(source.config(), source.folder() / "config.json");
}

SummaryData read_pairs(const Materials& materials, const SummaryOptions& options,
                       const std::vector<fs::path>& files, Progress& progress) {
  const architecture::Layout& layout = materials.layout;
  std::vector<data::SummarizedText> texts;
  for (const fs::path& file : files) {
    std::ranges::move(data::read_summaries(file, options.limit), std::back_inserter(texts));
  }
  const std::int64_t length = length_of(options.length, kDocumentLength, layout);
  auto pairs = data::encode_summaries(
      texts, materials.tokenizer,
      {.prefix = prefix_of(options, materials.source),
       .source_language = options.source_language,
       .target_language = options.target_language,
       .source_length = length,
       .target_length = length_of(options.summary_length, kSummaryLength, layout),
       .vocabulary_size = layout.vocabulary_size});
  const auto truncated = std::ranges::count_if(pairs, &data::SequencePair::truncated);
  if (truncated > 0) {
    progress.warn(std::to_string(truncated) + " of " + std::to_string(pairs.size()) +
                  " documents are longer than " + std::to_string(length) +
                  " tokens: cut (--length)");
  }
  std::vector<std::string> references;
  references.reserve(texts.size());
  for (data::SummarizedText& text : texts) references.push_back(std::move(text.summary));
  return {train::SequencePairs(std::move(pairs)), std::move(references), truncated};
}

// One best summary of each, by the model's own settings where there are no others.
generate::Options generation_of(const Materials& materials, const SummaryOptions& options,
                                const generate::TargetStart& start) {
  generate::Settings given;
  if (options.num_beams > 0) given.num_beams = options.num_beams;
  given.num_return_sequences = 1;
  given.forced_bos_token_id = start.forced_bos_token_id;
  const generate::Settings settings =
      generate::over(given, generate::read_settings(materials.source.folder()));
  generate::Options out = generate::options_of(settings);
  out.max_tokens = options.summary_length > 0
                       ? options.summary_length
                       : generate::max_tokens_of(settings, /*prompt=*/1, kSummaryLength);
  out.eos = generate::end_tokens(materials.source, materials.tokenizer);
  return out;
}

SummaryData prepare_summaries(const Materials& materials, const SummaryOptions& options,
                              const fs::path& file, Progress& progress) {
  SummaryData data = read_pairs(materials, options, {file}, progress);
  const generate::TargetStart start = generate::target_start_in(
      options.target_language, materials.source, materials.layout, materials.tokenizer);
  data.generation = generation_of(materials, options, start);
  data.start = start.token;
  return data;
}

TrainingSet learn_summaries(const Materials& materials, const SummaryOptions& options,
                            const std::vector<fs::path>& files, const Learning& learning,
                            Progress& progress) {
  const SummaryData data = read_pairs(materials, options, files, progress);
  const double smoothing = learning.label_smoothing;
  return {data.pairs.examples(), data.pairs.objective(smoothing),
          mix(0, std::as_bytes(std::span(&smoothing, 1)))};
}

// ------------------------------------------------------------------------------- scores

std::vector<generate::Result> summaries_of(const Subject& subject, const SummaryOptions& options,
                                           const SummaryData& data, Progress& progress) {
  subject.model.set_training(false);
  std::vector<generate::Result> out(data.references.size());
  generate::Engine engine(subject.model, subject.tokenizer);
  std::map<generate::SequenceId, std::size_t> running;
  std::size_t next = 0, done = 0;
  progress.begin("summarization", out.size(), "documents");
  while (done < out.size()) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    for (; next < out.size() && std::ssize(running) < options.batch; ++next) {
      generate::Request request;
      request.prompt = {data.start};
      request.options = data.generation;
      request.options.adapter = subject.adapter;
      request.stream = next;
      request.source = data.pairs[static_cast<std::int64_t>(next)].source;
      running[engine.add(std::move(request))] = next;
    }
    for (const generate::SequenceId id : engine.step()) {
      out[running.at(id)] = engine.result(id);
      running.erase(id);
      engine.remove(id);
      progress.update(++done, {});
    }
  }
  progress.end();
  return out;
}

struct RougeKind {
  const char *key, *label;
  metrics::RougeScore metrics::Rouge::*score;
  bool compared = true;
};

// The first is what early stops and the best checkpoint go by.
constexpr RougeKind kRouge[] = {{"rouge2", "ROUGE-2", &metrics::Rouge::two},
                                {"rouge1", "ROUGE-1", &metrics::Rouge::one},
                                {"rougeL", "ROUGE-L", &metrics::Rouge::l},
                                {"rougeLsum", "ROUGE-Lsum", &metrics::Rouge::l_sum, false}};

std::string key_of_summaries(const std::string& score) {
  return "summarization_" + score;
}

void write_summaries(const fs::path& path, const SummaryData& data,
                     const std::vector<generate::Result>& found,
                     const std::vector<metrics::Rouge>& scores) {
  AtomicFile file(path);
  for (std::size_t i = 0; i < found.size(); ++i) {
    io::Json line = {{"index", i}, {"reference", data.references[i]}, {"summary", found[i].text}};
    for (const RougeKind& kind : kRouge) line[kind.key] = (scores[i].*kind.score).f1;
    // A summary that is cut may end within a character: such bytes are replaced, not refused.
    file.append(line.dump(-1, ' ', false, io::Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

Scores run_summaries(const Subject& subject, const SummaryOptions& options, const SummaryData& data,
                     Progress& progress) {
  const auto found = summaries_of(subject, options, data, progress);
  std::vector<metrics::Rouge> each;
  double tokens = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    each.push_back(metrics::rouge(data.references[i], found[i].text, /*stem=*/true));
    tokens += static_cast<double>(found[i].ids.size());
  }
  if (!options.predictions.empty()) write_summaries(options.predictions, data, found, each);
  const auto count = static_cast<double>(found.size());
  Scores scores;
  for (const RougeKind& kind : kRouge) {
    double sum = 0;
    for (const metrics::Rouge& one : each) sum += (one.*kind.score).f1;
    scores.set(key_of_summaries(kind.key), sum / count);
  }
  scores.set(key_of_summaries("length"), tokens / count);
  scores.set(key_of_summaries("examples"), count);
  scores.set(key_of_summaries("truncated"), static_cast<double>(data.truncated));
  return scores;
}

}  // namespace

Task summarization_task() {
  Task row;
  row.name = row.in_recipe = "summarization";
  row.head = {.kind = architecture::HeadKind::sequence_to_sequence};
  row.caches = Caches::always;
  row.label_smoothing = true;
  for (const RougeKind& kind : kRouge) {
    const std::string key = key_of_summaries(kind.key), label = kind.label;
    ScoreInfo info{
        .key = key, .label = label, .unit = Unit::share, .decimals = 2, .higher_is_better = true};
    if (kind.compared) info.compared = {{label + " %", 2, "Summaries, " + label, key, false}};
    row.scores.push_back(std::move(info));
  }
  row.scores.push_back(
      {.key = key_of_summaries("length"), .label = "mean tokens of a summary", .decimals = 2});
  row.scores.push_back(
      {.key = key_of_summaries("examples"), .label = "examples", .unit = Unit::count});
  row.scores.push_back(
      {.key = key_of_summaries("truncated"), .label = "truncated", .unit = Unit::count});
  return make_task<SummaryOptions, check_summaries, prepare_summaries, run_summaries,
                   learn_summaries>(std::move(row));
}

}  // namespace qloft::evaluate
