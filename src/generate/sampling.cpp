#include "sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "checks.h"
#include "logits_processors.h"

namespace qloft::generate {
namespace {

using tokenizer::TokenId;

struct Candidate {
  double score = 0;  // divided by the temperature; the largest is 0
  TokenId id = 0;
};
// In falling order; ties in the order of ids.
using Candidates = std::vector<Candidate>;

bool is_before(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

// Brings the `count` largest, and those that tie with the last of them, to the front and drops the
// others.
void keep_largest(Candidates& all, std::size_t count) {
  if (count >= all.size()) {
    std::ranges::sort(all, is_before);
    return;
  }
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(all.begin(), end, all.end(), is_before);
  const double last = all[count - 1].score;
  const auto ties = std::partition(end, all.end(), [&](const auto& c) { return c.score == last; });
  std::sort(end, ties, is_before);
  all.erase(ties, all.end());
}

std::vector<double> probabilities(const Candidates& all) {
  std::vector<double> out(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) out[i] = std::exp(all[i].score - all[0].score);
  const double total = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& p : out) p /= total;
  return out;
}

double information(double p) {
  return p > 0 ? -p * std::log(p) : 0;
}

double entropy(const std::vector<double>& probabilities) {
  double sum = 0;
  for (const double p : probabilities) sum += information(p);
  return sum;
}

void keep_entropy_share(Candidates& all, double share) {
  constexpr std::size_t kMost = 100;
  keep_largest(all, kMost);
  all.resize(std::min(all.size(), kMost));
  const auto p = probabilities(all);
  const double most = share * entropy(p);
  double sum = information(p[0]);
  std::size_t count = 1;
  while (count < all.size() && (sum += information(p[count])) <= most) ++count;
  all.resize(count);
}

void keep_likeliest(Candidates& all, double share, std::size_t keep) {
  const auto p = probabilities(all);
  double sum = 0;
  std::size_t count = 0;
  while (count < all.size() && sum < share) sum += p[count++];
  all.resize(std::min(all.size(), std::max(keep, count)));
}

// Those whose information is nearest to the entropy.
void keep_typical(Candidates& all, double share, std::size_t keep) {
  const auto p = probabilities(all);
  const double expected = entropy(p);
  const auto distance = [&](std::size_t i) { return std::abs(-std::log(p[i]) - expected); };
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, distance);
  double sum = 0;
  std::size_t last = 0;
  while (last + 1 < order.size() && (sum += p[order[last]]) < share) ++last;
  const double farthest = distance(order[last]);
  Candidates kept;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i < keep || distance(order[i]) <= farthest) kept.push_back(all[order[i]]);
  }
  std::ranges::sort(kept, is_before);
  all = std::move(kept);
}

// Those of at least this probability.
void keep_above(Candidates& all, double least, std::size_t keep) {
  const auto p = probabilities(all);
  std::size_t count = std::min(keep, all.size());
  const double last = all[count - 1].score;
  while (count < all.size() && (p[count] >= least || all[count].score == last)) ++count;
  all.resize(count);
}

Candidates filtered(std::span<const float> scores, const Sampling& sampling, std::int64_t least) {
  const float largest = *std::ranges::max_element(scores);
  if (largest == kNever) throw ComputationError({}, "no token is left that may come next");
  Candidates all;
  all.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] == kNever) continue;
    all.push_back({(static_cast<double>(scores[i]) - largest) / sampling.temperature,
                   static_cast<TokenId>(i)});
  }
  const auto keep = static_cast<std::size_t>(least);
  if (sampling.top_h > 0) keep_entropy_share(all, sampling.top_h);
  keep_largest(all, sampling.top_k > 0 ? std::max(keep, static_cast<std::size_t>(sampling.top_k))
                                       : all.size());
  if (sampling.top_p < 1) keep_likeliest(all, sampling.top_p, keep);
  if (sampling.min_p > 0) keep_above(all, sampling.min_p * probabilities(all)[0], keep);
  if (sampling.typical_p < 1) keep_typical(all, sampling.typical_p, keep);
  if (sampling.epsilon_cutoff > 0) keep_above(all, sampling.epsilon_cutoff, keep);
  if (const double epsilon = sampling.eta_cutoff; epsilon > 0) {
    const double spread = std::exp(-entropy(probabilities(all)));
    keep_above(all, std::min(epsilon, std::sqrt(epsilon) * spread), keep);
  }
  return all;
}

}  // namespace

void Sampling::validate() const {
  check(temperature >= 0 && std::isfinite(temperature), "temperature", "0 or more", temperature);
  check(top_h >= 0 && top_h <= 1, "top_h", "a number from 0 to 1", top_h);
  check_least(top_k, 0, "top_k");
  check(top_p > 0 && top_p <= 1, "top_p", "a number above 0 and at most 1", top_p);
  check(min_p >= 0 && min_p <= 1, "min_p", "a number from 0 to 1", min_p);
  check(typical_p > 0 && typical_p <= 1, "typical_p", "a number above 0 and at most 1", typical_p);
  for (const auto& [value, name] :
       {std::pair(epsilon_cutoff, "epsilon_cutoff"), std::pair(eta_cutoff, "eta_cutoff")}) {
    check(value >= 0 && value < 1, name, "a number from 0 to below 1", value);
  }
}

TokenId sample(std::span<const float> logits, const Sampling& sampling, Random& random) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) throw ComputationError({}, "a logit is not a number");
    if (logits[i] > logits[best]) best = i;
  }
  if (sampling.temperature == 0) return static_cast<TokenId>(best);
  const Candidates candidates = filtered(logits, sampling, 1);
  const auto p = probabilities(candidates);
  double target = random.uniform();
  for (std::size_t i = 0; i + 1 < p.size(); ++i) {
    if (target < p[i]) return candidates[i].id;
    target -= p[i];
  }
  return candidates.back().id;
}

void filter(std::span<float> scores, const Sampling& sampling, std::int64_t keep) {
  const Candidates candidates = filtered(scores, sampling, keep);
  const std::vector<float> before(scores.begin(), scores.end());
  std::ranges::fill(scores, kNever);
  for (const Candidate& candidate : candidates) {
    const auto id = static_cast<std::size_t>(candidate.id);
    scores[id] = static_cast<float>(before[id] / sampling.temperature);
  }
}

}  // namespace qloft::generate
