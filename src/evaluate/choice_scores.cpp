#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <string>
#include <utility>

#include "choices.h"
#include "finite.h"
#include "logits_at_once.h"

namespace qloft::evaluate {
namespace {

constexpr std::int64_t kTokensAtOnce = 1024;  // that a pass takes in at most

// A sum to which log p(id) is added, by row of hidden states.
struct Target {
  std::int64_t row;
  std::int64_t id;
  double* sum;
};

class ChoiceScorer {
 public:
  ChoiceScorer(const Subject& subject, const EncodedQuestions& data, std::int64_t batch)
      : subject_(subject), data_(data) {
    for (std::int64_t i = 0; i < std::min(batch, std::ssize(data.items)); ++i) {
      slots_.push_back({subject.model.make_cache(1), {}});
    }
    for (const Question& question : data.set.questions) {
      sums_.emplace_back(question.continuations.size(), 0.0);
    }
  }

  // Items [first, first + batch).
  void score(std::size_t first) {
    const std::size_t count = std::min(slots_.size(), data_.items.size() - first);
    const at::Tensor last = take_contexts(first, count);
    std::vector<Target> targets;
    std::size_t most = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const ChoiceItem& item = data_.items[first + i];
      most = std::max(most, item.continuations.size());
      for (std::size_t c = 0; c < item.continuations.size(); ++c) {
        if (item.continuations[c].empty()) continue;
        targets.push_back({static_cast<std::int64_t>(i), item.continuations[c][0], sum(item, c)});
      }
    }
    add(last, targets);
    for (std::size_t c = 0; c < most; ++c) take_continuations(first, count, c);
  }

  const std::vector<std::vector<double>>& sums() const { return sums_; }

 private:
  struct Slot {
    model::KeyValueCache cache;
    std::vector<std::int64_t> held;
  };

  double* sum(const ChoiceItem& item, std::size_t choice) {
    return &sums_[item.question][item.first_choice + choice];
  }

  // The hidden state of the last id of each context, [count, columns].
  at::Tensor take_contexts(std::size_t first, std::size_t count) {
    std::vector<std::size_t> begin(count);  // of what each has still to take in
    for (std::size_t i = 0; i < count; ++i) {
      const ChoiceItem& item = data_.items[first + i];
      Slot& slot = slots_[i];
      const auto common = std::mismatch(slot.held.begin(), slot.held.end(), item.context.begin(),
                                        item.context.end() - 1);
      begin[i] = static_cast<std::size_t>(common.second - item.context.begin());
      slot.cache.truncate(static_cast<std::int64_t>(begin[i]));
      std::size_t longest = 0;
      for (const auto& ids : item.continuations) longest = std::max(longest, ids.size());
      slot.cache.reserve(static_cast<std::int64_t>(item.context.size() + longest));
      slot.held = item.context;
    }
    std::vector<at::Tensor> last(count);
    for (std::size_t done = 0; done < count;) {
      std::vector<model::Continuation> parts;
      std::vector<std::size_t> ending;  // of each part the slot that it completes; count: none
      std::int64_t room = kTokensAtOnce;
      for (std::size_t i = done; i < count && room > 0; ++i) {
        const auto& context = data_.items[first + i].context;
        const auto length =
            std::min<std::int64_t>(room, std::ssize(context) - static_cast<std::int64_t>(begin[i]));
        const auto from = context.begin() + static_cast<std::ptrdiff_t>(begin[i]);
        parts.push_back({&slots_[i].cache, {from, from + length}, subject_.adapter});
        begin[i] += static_cast<std::size_t>(length);
        room -= length;
        ending.push_back(begin[i] == context.size() ? i : count);
      }
      const at::Tensor states = subject_.model.extend(parts);
      for (std::size_t p = 0; p < ending.size(); ++p) {
        if (ending[p] == count) continue;
        last[ending[p]] = states.narrow(0, static_cast<std::int64_t>(p), 1);
        ++done;
      }
    }
    return at::cat(last);
  }

  // Choice `c` of each item behind its context, and then forgotten.
  void take_continuations(std::size_t first, std::size_t count, std::size_t c) {
    std::vector<model::Continuation> parts;
    std::vector<Target> targets;
    std::int64_t rows = 0;
    const auto flush = [&] {
      if (parts.empty()) return;
      add(subject_.model.extend(parts, model::NewTokens::all), targets);
      parts.clear();
      targets.clear();
      rows = 0;
    };
    for (std::size_t i = 0; i < count; ++i) {
      const ChoiceItem& item = data_.items[first + i];
      if (c >= item.continuations.size() || item.continuations[c].size() < 2) continue;
      const auto& ids = item.continuations[c];
      if (rows + std::ssize(ids) > kTokensAtOnce) flush();
      parts.push_back({&slots_[i].cache, {ids.begin(), ids.end() - 1}, subject_.adapter});
      for (std::size_t k = 1; k < ids.size(); ++k)
        targets.push_back({rows++, ids[k], sum(item, c)});
    }
    flush();
    for (std::size_t i = 0; i < count; ++i) {
      slots_[i].cache.truncate(std::ssize(data_.items[first + i].context));
    }
  }

  // Targets in the order of their rows.
  void add(const at::Tensor& states, const std::vector<Target>& targets) {
    const std::int64_t at_once =
        std::max<std::int64_t>(1, kLogitsAtOnce / subject_.model.layout().vocabulary_size);
    auto target = targets.begin();
    for (std::int64_t first = 0; first < states.size(0); first += at_once) {
      const std::int64_t rows = std::min(at_once, states.size(0) - first);
      const at::Tensor logits =
          subject_.model.logits(states.narrow(0, first, rows), {subject_.adapter});
      const at::Tensor log = at::log_softmax(logits.to(at::kCPU, at::kFloat), -1).contiguous();
      const float* values = log.data_ptr<float>();
      for (; target != targets.end() && target->row < first + rows; ++target) {
        *target->sum += values[(target->row - first) * log.size(1) + target->id];
      }
    }
  }

  const Subject& subject_;
  const EncodedQuestions& data_;
  std::vector<Slot> slots_;
  std::vector<std::vector<double>> sums_;
};

}  // namespace

std::vector<std::vector<double>> choice_log_likelihoods(const Subject& subject,
                                                        const EncodedQuestions& data,
                                                        std::int64_t batch, std::string_view task,
                                                        Progress& progress) {
  const at::NoGradGuard no_gradients;
  ChoiceScorer scorer(subject, data, batch);
  const auto& questions = data.set.questions;
  std::int64_t answered = 0, right = 0;
  progress.begin(task, questions.size(), "questions");
  for (std::size_t first = 0; first < data.items.size();) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    scorer.score(first);
    first = std::min(data.items.size(), first + static_cast<std::size_t>(batch));
    // The questions whose choices are all known by now.
    const std::int64_t known = first == data.items.size()
                                   ? std::ssize(questions)
                                   : static_cast<std::int64_t>(data.items[first].question);
    for (; answered < known; ++answered) {
      const auto i = static_cast<std::size_t>(answered);
      for (const double sum : scorer.sums()[i]) expect_finite(sum, questions[i].where);
      right += chosen(questions[i], scorer.sums()[i], false) == questions[i].right ? 1 : 0;
    }
    progress.update(static_cast<std::uint64_t>(answered),
                    std::to_string(right) + " of " + std::to_string(answered) + " right");
  }
  progress.end();
  return scorer.sums();
}

}  // namespace qloft::evaluate
