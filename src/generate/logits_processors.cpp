#include "logits_processors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "checks.h"

namespace qloft::generate {
namespace {

using tokenizer::TokenId;
using Ids = std::span<const TokenId>;

// An id beyond the output matrix can never be chosen.
bool is_scored(std::span<const float> scores, TokenId id) {
  return id >= 0 && static_cast<std::size_t>(id) < scores.size();
}

void forbid(std::span<float> scores, Ids ids) {
  for (const TokenId id : ids) {
    if (is_scored(scores, id)) scores[static_cast<std::size_t>(id)] = kNever;
  }
}

void force(std::span<float> scores, Ids ids) {
  std::ranges::fill(scores, kNever);
  for (const TokenId id : ids) {
    if (is_scored(scores, id)) scores[static_cast<std::size_t>(id)] = 0;
  }
}

// A sequence of one token that ends a text may come.
void forbid_words(std::span<float> scores, const std::vector<std::vector<TokenId>>& words, Ids ids,
                  Ids eos) {
  for (const auto& word : words) {
    const Ids before(word.data(), word.size() - 1);
    if (before.empty() && std::ranges::find(eos, word.back()) != eos.end()) continue;
    if (before.size() > ids.size()) continue;
    if (std::ranges::equal(ids.last(before.size()), before)) forbid(scores, Ids(&word.back(), 1));
  }
}

void remove_invalid(std::span<float> scores) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (float& score : scores) {
    score = std::isnan(score) ? 0 : std::clamp(score, -kLargest, kLargest);
  }
}

// The penalty is of the score's magnitude, so that it raises negative scores too.
void raise_ends(std::span<float> scores, const LogitsProcessors::Decay& decay,
                std::int64_t new_tokens, Ids eos) {
  if (new_tokens <= decay.start) return;
  const double raised = std::pow(decay.factor, static_cast<double>(new_tokens - decay.start)) - 1;
  for (const TokenId id : eos) {
    if (!is_scored(scores, id)) continue;
    float& score = scores[static_cast<std::size_t>(id)];
    if (std::isfinite(score)) score += std::abs(score) * static_cast<float>(raised);
  }
}

void check_ids(Ids ids, const char* field) {
  for (const TokenId id : ids) check_least(id, 0, field);
}

void check_positive(double value, const char* field) {
  check(value > 0 && std::isfinite(value), field, "a number above 0", value);
}

}  // namespace

void LogitsProcessors::validate() const {
  check_positive(encoder_repetition_penalty, "encoder_repetition_penalty");
  check_positive(repetition_penalty, "repetition_penalty");
  check_least(no_repeat_ngram_size, 0, "no_repeat_ngram_size");
  check_least(encoder_no_repeat_ngram_size, 0, "encoder_no_repeat_ngram_size");
  for (const Ids& word : bad_words_ids) {
    if (word.empty()) throw InputError({{}, "bad_words_ids"}, "expected no empty sequence");
    check_ids(word, "bad_words_ids");
  }
  check_least(min_length, 0, "min_length");
  check_least(min_new_tokens, 0, "min_new_tokens");
  check_least(forced_bos_token_id.value_or(0), 0, "forced_bos_token_id");
  check_ids(forced_eos_token_id, "forced_eos_token_id");
  if (exponential_decay_length_penalty) {
    const auto [start, factor] = *exponential_decay_length_penalty;
    check_least(start, 0, "exponential_decay_length_penalty");
    check_positive(factor, "exponential_decay_length_penalty");
  }
  check_ids(suppress_tokens, "suppress_tokens");
  check_ids(begin_suppress_tokens, "begin_suppress_tokens");
}

void process(const LogitsProcessors& processors, const Progressed& sequence,
             std::span<float> scores) {
  const LogitsProcessors& p = processors;
  const Ids ids = sequence.ids;
  const std::int64_t length = std::ssize(ids), new_tokens = length - sequence.prompt;
  penalize_repetition(scores, sequence.source, 1 / p.encoder_repetition_penalty);
  penalize_repetition(scores, ids, p.repetition_penalty);
  forbid_repeated_ngrams(scores, ids, ids, p.no_repeat_ngram_size);
  forbid_repeated_ngrams(scores, sequence.source, ids, p.encoder_no_repeat_ngram_size);
  forbid_words(scores, p.bad_words_ids, ids, sequence.eos);
  if (length < p.min_length || new_tokens < p.min_new_tokens) forbid(scores, sequence.eos);
  if (length == 1 && p.forced_bos_token_id) force(scores, Ids(&*p.forced_bos_token_id, 1));
  if (length == sequence.max_length - 1 && !p.forced_eos_token_id.empty()) {
    force(scores, p.forced_eos_token_id);
  }
  if (p.remove_invalid_values) remove_invalid(scores);
  if (const auto& decay = p.exponential_decay_length_penalty) {
    raise_ends(scores, *decay, new_tokens, sequence.eos);
  }
  forbid(scores, p.suppress_tokens);
  // A forced first token comes before the first that is chosen.
  const bool forced = sequence.prompt == 1 && p.forced_bos_token_id;
  if (new_tokens == (forced ? 1 : 0)) forbid(scores, p.begin_suppress_tokens);
}

void penalize_repetition(std::span<float> scores, Ids seen, double penalty) {
  if (penalty == 1) return;
  std::vector<TokenId> ids(seen.begin(), seen.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const TokenId id : ids) {
    if (!is_scored(scores, id)) continue;
    float& score = scores[static_cast<std::size_t>(id)];
    score = static_cast<float>(score < 0 ? score * penalty : score / penalty);
  }
}

void forbid_repeated_ngrams(std::span<float> scores, Ids seen, Ids ids, std::int64_t size) {
  const auto count = static_cast<std::size_t>(size);
  if (size == 0 || seen.size() < count || ids.size() + 1 < count) return;
  const Ids last = ids.last(count - 1);
  for (std::size_t i = 0; i + count <= seen.size(); ++i) {
    const Ids ngram = seen.subspan(i, count);
    if (std::ranges::equal(ngram.first(count - 1), last)) forbid(scores, ngram.last(1));
  }
}

void renormalize(std::span<float> scores) {
  const float largest = *std::ranges::max_element(scores);
  double sum = 0;
  for (const float score : scores) sum += std::exp(static_cast<double>(score - largest));
  const auto log_sum = static_cast<float>(std::log(sum));
  for (float& score : scores) score = score - largest - log_sum;
}

}  // namespace qloft::generate
