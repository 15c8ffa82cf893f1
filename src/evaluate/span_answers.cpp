#include "span_answers.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

namespace qloft::evaluate {
namespace {

using tokenizer::CharacterSpan;

struct Candidate {
  CharacterSpan span;  // empty at 0: no answer
  float start, end;
  float score() const { return start + end; }
  bool is_none() const { return span == CharacterSpan(); }
};

// The places of the greatest, the greatest first.
std::vector<std::int64_t> greatest(const std::vector<float>& values, std::int64_t count) {
  std::vector<std::int64_t> order(values.size());
  std::iota(order.rbegin(), order.rend(), std::int64_t{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](std::int64_t i) { return values[static_cast<std::size_t>(i)]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  return order;
}

void add_candidates(const data::SpanWindow& window, const train::SpanScores& scores,
                    const AnswerRules& rules, std::vector<Candidate>& out) {
  const auto span_at = [&](std::int64_t place) -> std::optional<CharacterSpan> {
    const std::int64_t at = place - window.context_begin;
    if (at < 0 || at >= std::ssize(window.contexts)) return std::nullopt;
    return window.contexts[static_cast<std::size_t>(at)];
  };
  const auto ends = greatest(scores.ends, rules.candidates);
  for (const std::int64_t start : greatest(scores.starts, rules.candidates)) {
    const auto first = span_at(start);
    if (!first) continue;
    for (const std::int64_t end : ends) {
      const auto last = span_at(end);
      if (!last || end < start || end - start + 1 > rules.longest) continue;
      out.push_back({{first->begin, last->end},
                     scores.starts[static_cast<std::size_t>(start)],
                     scores.ends[static_cast<std::size_t>(end)]});
    }
  }
}

void set_probabilities(std::vector<SpanCandidate>& candidates) {
  double most = -HUGE_VAL, sum = 0;
  for (const SpanCandidate& one : candidates) {
    most = std::max(most, static_cast<double>(one.start + one.end));
  }
  for (SpanCandidate& one : candidates) {
    one.probability = std::exp(static_cast<double>(one.start + one.end) - most);
    sum += one.probability;
  }
  for (SpanCandidate& one : candidates) one.probability /= sum;
}

}  // namespace

SpanAnswer span_answer(const data::SpanQuestion& question,
                       std::span<const data::SpanWindow* const> windows,
                       std::span<const train::SpanScores> scores, const AnswerRules& rules) {
  std::vector<Candidate> all;
  Candidate none{{}, HUGE_VALF, 0};
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const Candidate its{{}, scores[i].starts.front(), scores[i].ends.front()};
    if (its.score() < none.score()) none = its;
    add_candidates(*windows[i], scores[i], rules, all);
  }
  if (rules.unanswerable) all.push_back(none);
  std::ranges::stable_sort(all, std::greater<>(), &Candidate::score);
  all.resize(std::min(all.size(), static_cast<std::size_t>(rules.candidates)));
  if (rules.unanswerable && std::ranges::none_of(all, &Candidate::is_none)) all.push_back(none);

  SpanAnswer answer;
  for (const Candidate& one : all) {
    const std::string_view text = tokenizer::characters(*question.context, one.span);
    answer.candidates.push_back({std::string(text), one.start, one.end});
  }
  auto& kept = answer.candidates;
  const auto has_text = [](const SpanCandidate& one) { return !one.text.empty(); };
  // Where no window holds an answer transformers has this word stand for one.
  if (std::ranges::none_of(kept, has_text) && (rules.unanswerable || kept.size() < 2)) {
    kept.insert(kept.begin(), {"empty", 0, 0});
  }
  set_probabilities(kept);
  if (!rules.unanswerable) {
    answer.text = kept.front().text;
    return answer;
  }
  const SpanCandidate& best = *std::ranges::find_if(kept, has_text);
  answer.no_answer = none.score() - best.start - best.end;
  if (answer.no_answer <= rules.threshold) answer.text = best.text;
  return answer;
}

}  // namespace qloft::evaluate
