#include "beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "checks.h"

namespace qloft::generate {
namespace {

// What transformers puts in the place of scores that must not win. In f32 it swallows what it is
// added to, so that the order among such scores is that of their places.
constexpr float kOut = -1e9f;

// The places of the `count` largest values, largest first; ties in the order of places.
template <typename Value>
std::vector<std::size_t> largest(std::size_t size, std::size_t count, const Value& value) {
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return value(a) > value(b); });
  order.resize(std::min(size, count));
  return order;
}

float length_divisor(std::int64_t length, double penalty) {
  return static_cast<float>(std::pow(static_cast<double>(length), penalty));
}

}  // namespace

void Beams::validate() const {
  check_least(num_beams, 1, "num_beams");
  check(std::isfinite(length_penalty), "length_penalty", "a finite number", length_penalty);
  check_least(num_return_sequences, 1, "num_return_sequences");
  if (num_return_sequences > num_beams) {
    throw InputError({{}, "num_return_sequences"}, "expected at most num_beams, " +
                                                       std::to_string(num_beams) + ", found " +
                                                       std::to_string(num_return_sequences));
  }
}

BeamSearch::BeamSearch(const Beams& options, Ends ends)
    : options_(options), ends_(std::move(ends)) {
  const auto count = static_cast<std::size_t>(options.num_beams);
  beams_.assign(count, {{}, kOut, 0});
  beams_.front().score = 0;
  finished_.assign(count, {{}, kOut, false});
}

// Enough of them that num_beams go on even where the best all end.
std::vector<BeamSearch::Candidate> BeamSearch::candidates(
    std::span<const std::span<const float>> rows, Random* draws) const {
  const std::size_t wanted = std::max<std::size_t>(2, 1 + ends_.eos.size()) * beams_.size();
  const auto before = [](const Candidate& a, const Candidate& b) { return a.key > b.key; };
  std::vector<Candidate> best;  // a heap whose front is the least
  double least = -std::numeric_limits<double>::infinity();
  for (std::size_t beam = 0; beam < rows.size(); ++beam) {
    const float so_far = beams_[beam].score;
    for (std::size_t id = 0; id < rows[beam].size(); ++id) {
      const float score = rows[beam][id] + so_far;
      if (std::isnan(score)) throw ComputationError({}, "a score of beam search is not a number");
      double key = score;
      // The largest of scores with Gumbel noise are a draw without replacement from their softmax.
      if (draws != nullptr) key -= std::log(-std::log(1 - draws->uniform()));
      if (best.size() == wanted) {
        if (key <= least) continue;
        std::ranges::pop_heap(best, before);
        best.pop_back();
      }
      best.push_back({score, key, beam, static_cast<tokenizer::TokenId>(id)});
      std::ranges::push_heap(best, before);
      least = best.front().key;
    }
  }
  std::ranges::sort(best, [](const Candidate& a, const Candidate& b) {
    if (a.key != b.key) return a.key > b.key;
    return a.parent != b.parent ? a.parent < b.parent : a.id < b.id;
  });
  return best;
}

void BeamSearch::step(std::span<const std::span<const float>> log_probabilities, Random* draws) {
  std::vector<Hypothesis> next;  // all candidates, as sequences
  std::vector<std::size_t> parents;
  for (const Candidate& candidate : candidates(log_probabilities, draws)) {
    Ids ids = beams_[candidate.parent].ids;
    ids.push_back(candidate.id);
    const bool ends = std::ranges::find(ends_.eos, candidate.id) != ends_.eos.end() ||
                      length_ + 1 >= ends_.max_tokens || (ends_.stops && ends_.stops(ids));
    next.push_back({std::move(ids), candidate.score, ends});
    parents.push_back(candidate.parent);
  }
  const auto running = [&](std::size_t i) { return next[i].score + (next[i].finished ? kOut : 0); };
  std::vector<Beam> beams;
  for (const std::size_t i : largest(next.size(), beams_.size(), running)) {
    beams.push_back({next[i].ids, running(i), parents[i]});
  }
  beams_ = std::move(beams);
  ++length_;
  finish(next);
  improvable_ = improvable_ && could_improve();
  const bool full = std::ranges::all_of(finished_, &Hypothesis::finished);
  done_ = !improvable_ || (full && options_.early_stopping == EarlyStopping::yes) ||
          std::ranges::all_of(next, &Hypothesis::finished);
}

// Only the first num_beams of the candidates count as finished: the others are there in case that
// these all end.
void BeamSearch::finish(const std::vector<Hypothesis>& ended) {
  const float divisor = length_divisor(length_, options_.length_penalty);
  const std::size_t places = finished_.size();
  std::vector<Hypothesis> all = std::move(finished_);
  for (std::size_t i = 0; i < ended.size(); ++i) {
    const bool counts = ended[i].finished && i < places;
    all.push_back(
        {counts ? ended[i].ids : Ids{}, ended[i].score / divisor + (counts ? 0 : kOut), counts});
  }
  finished_.clear();
  for (const std::size_t i :
       largest(all.size(), places, [&](std::size_t k) { return all[k].score; })) {
    finished_.push_back(std::move(all[i]));
  }
}

// Whether a beam may yet come to be among the finished.
bool BeamSearch::could_improve() const {
  const bool to_the_end =
      options_.early_stopping == EarlyStopping::never && options_.length_penalty > 0;
  const std::int64_t length = to_the_end ? ends_.max_tokens : length_;
  const float best = beams_.front().score / length_divisor(length, options_.length_penalty);
  const float worst = finished_.back().score;
  return std::ranges::any_of(
      finished_, [&](const Hypothesis& place) { return best > (place.finished ? worst : kOut); });
}

std::vector<BeamSearch::Hypothesis> BeamSearch::best() const {
  std::vector<Hypothesis> out;
  for (const Hypothesis& one : finished_) {
    if (one.finished && std::ssize(out) < options_.num_return_sequences) out.push_back(one);
  }
  if (!out.empty()) return out;
  for (const Beam& beam : beams_) {
    if (std::ssize(out) < options_.num_return_sequences)
      out.push_back({beam.ids, beam.score, false});
  }
  return out;
}

}  // namespace qloft::generate
