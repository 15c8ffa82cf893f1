#include "sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "qloft/core/error.h"

namespace qloft::generate {
namespace {

void check(bool ok, const char* field, const char* expected, double found) {
  if (ok) return;
  throw InputError({{}, field},
                   std::string("expected ") + expected + ", found " + std::to_string(found));
}

}  // namespace

void Sampling::validate() const {
  check(temperature >= 0 && std::isfinite(temperature), "temperature", "0 or more", temperature);
  check(top_k >= 0, "top_k", "0 or more", static_cast<double>(top_k));
  check(top_p > 0 && top_p <= 1, "top_p", "a number above 0 and at most 1", top_p);
  check(min_p >= 0 && min_p <= 1, "min_p", "a number from 0 to 1", min_p);
  check(repetition_penalty > 0 && std::isfinite(repetition_penalty), "repetition_penalty",
        "a number above 0", repetition_penalty);
}

void penalize_repetition(std::span<float> logits, std::span<const tokenizer::TokenId> seen,
                         double penalty) {
  if (penalty == 1) return;
  std::vector<tokenizer::TokenId> ids(seen.begin(), seen.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const tokenizer::TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<std::size_t>(id)];
    logit = static_cast<float>(logit < 0 ? logit * penalty : logit / penalty);
  }
}

tokenizer::TokenId sample(std::span<float> logits, const Sampling& sampling, Random& random) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) throw ComputationError({}, "a logit is not a number");
    if (logits[i] > logits[best]) best = i;
  }
  if (sampling.temperature == 0) return static_cast<tokenizer::TokenId>(best);

  // Candidates in falling order of probability; ties in the order of ids.
  std::vector<std::uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto larger = [&](std::uint32_t a, std::uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::size_t keep = order.size();
  if (sampling.top_k > 0) keep = std::min(keep, static_cast<std::size_t>(sampling.top_k));
  if (keep < order.size()) {
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(keep), order.end(),
                      larger);
    order.resize(keep);
  } else {
    std::sort(order.begin(), order.end(), larger);
  }

  const double largest = logits[best];
  std::vector<double> weights(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    weights[i] = std::exp((logits[order[i]] - largest) / sampling.temperature);
  }
  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (sampling.top_p < 1) {
    double sum = 0;
    std::size_t count = 0;
    while (count < weights.size() && sum < sampling.top_p * total) sum += weights[count++];
    weights.resize(std::max<std::size_t>(1, count));
  }
  if (sampling.min_p > 0) {
    // weights[0] is the largest and equals 1 only up to scale.
    std::size_t count = 1;
    while (count < weights.size() && weights[count] >= sampling.min_p * weights[0]) ++count;
    weights.resize(count);
  }
  total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double target = random.uniform() * total;
  for (std::size_t i = 0; i + 1 < weights.size(); ++i) {
    if (target < weights[i]) return static_cast<tokenizer::TokenId>(order[i]);
    target -= weights[i];
  }
  return static_cast<tokenizer::TokenId>(order[weights.size() - 1]);
}

}  // namespace qloft::generate
