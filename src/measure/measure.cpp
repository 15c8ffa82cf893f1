#include "qloft/measure.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>

#include "qloft/backend/tensor_memory.h"
#include "qloft/core/error.h"
#include "qloft/core/heap.h"
#include "qloft/core/memory.h"
#include "qloft/core/random.h"
#include "qloft/generate.h"
#include "qloft/train/step.h"

namespace qloft::measure {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::int64_t> random_tokens(const model::Model& model, std::int64_t count) {
  const auto vocabulary = static_cast<double>(model.layout().vocabulary_size);
  Random random(1);
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count));
  for (std::int64_t& id : ids) id = static_cast<std::int64_t>(random.uniform() * vocabulary);
  return ids;
}

struct Work {
  std::int64_t tokens = 0;       // of one repetition
  std::function<void()> run;     // what is timed
  std::function<void()> before;  // each repetition
  std::function<void()> warm_up;
};

Measured measure(const Work& work, const Repeat& repeat, Progress& progress) {
  backend::return_freed_tensors();  // by the test before
  return_freed_memory();
  const bool counts_peak = reset_peak_resident_bytes();
  if (repeat.warm_up) {
    work.before();
    work.warm_up();
  }
  std::vector<double> seconds;
  for (std::int64_t i = 0; i < repeat.times; ++i) {
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
    work.before();
    const auto start = Clock::now();
    work.run();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    std::array<char, 64> note{};
    std::snprintf(note.data(), note.size(), "%.2f tokens/s",
                  static_cast<double>(work.tokens) / seconds.back());
    progress.update(static_cast<std::uint64_t>(i + 1), note.data());
  }
  Measured measured = rate_of(work.tokens, seconds);
  const std::uint64_t peak = peak_resident_bytes();
  if (counts_peak && peak > 0) measured.peak_memory = peak;
  return measured;
}

// Read so that a device is done with all.
void read_logits(model::Model& model, const at::Tensor& hidden, model::AdapterId adapter) {
  model.logits(hidden, {adapter}).select(-1, 0).sum().item<float>();
}

// A source, and the first token of its target.
void take_in_source(model::Model& model, model::AdapterId adapter,
                    const std::vector<std::int64_t>& ids) {
  model::KeyValueCache cache = model.make_cache(1, ids, adapter);
  read_logits(model, model.extend({{&cache, {ids.front()}, adapter}}), adapter);
}

// New tokens of one sequence, whose cache holds the depth.
class Sequence {
 public:
  Sequence(model::Model& model, model::AdapterId adapter, const Span& span)
      : model_(model),
        adapter_(adapter),
        depth_(span.depth),
        ids_(random_tokens(model, span.depth + span.tokens)),
        cache_(model.make_cache(span.depth + span.tokens, random_tokens(model, span.source),
                                adapter)) {
    take_in(0, depth_);
  }

  void rewind() { cache_.truncate(depth_); }

  // In parts, as the engine of generate does it.
  void take_in(std::int64_t begin, std::int64_t end) {
    at::Tensor last;
    for (std::int64_t at = begin; at < end; at += generate::kPromptTokens) {
      last = extend(at, std::min(end, at + generate::kPromptTokens));
    }
    if (begin < end) read_logits(model_, last, adapter_);
  }

  void decode(std::int64_t count) {
    for (std::int64_t i = depth_; i < depth_ + count; ++i) {
      read_logits(model_, extend(i, i + 1), adapter_);
    }
  }

 private:
  at::Tensor extend(std::int64_t begin, std::int64_t end) {
    return model_.extend({{&cache_, {ids_.begin() + begin, ids_.begin() + end}, adapter_}});
  }

  model::Model& model_;
  model::AdapterId adapter_;
  std::int64_t depth_;
  std::vector<std::int64_t> ids_;
  model::KeyValueCache cache_;
};

}  // namespace

Measured prompt(model::Model& model, model::AdapterId adapter, const Span& span,
                const Repeat& repeat, Progress& progress) {
  const at::NoGradGuard no_gradients;
  model.set_training(false);
  if (model.layout().encoder) {
    const auto ids = random_tokens(model, span.tokens);
    const auto source = [&] { take_in_source(model, adapter, ids); };
    return measure({span.tokens, source, [] {}, source}, repeat, progress);
  }
  Sequence sequence(model, adapter, span);
  const auto all = [&] { sequence.take_in(span.depth, span.depth + span.tokens); };
  return measure({span.tokens, all, [&] { sequence.rewind(); }, all}, repeat, progress);
}

Measured decode(model::Model& model, model::AdapterId adapter, const Span& span,
                const Repeat& repeat, Progress& progress) {
  const at::NoGradGuard no_gradients;
  model.set_training(false);
  Sequence sequence(model, adapter, span);
  return measure({span.tokens, [&] { sequence.decode(span.tokens); }, [&] { sequence.rewind(); },
                  [&] { sequence.decode(1); }},
                 repeat, progress);
}

Measured train(model::Model& model, model::AdapterId adapter, const TrainShape& shape,
               const Repeat& repeat, Progress& progress) {
  const at::Tensor ids = at::tensor(random_tokens(model, shape.rows * shape.length), at::kLong)
                             .reshape({shape.rows, shape.length})
                             .to(model.device());
  model.set_checkpointing(shape.checkpointing);
  model.set_training(true);
  train::Stepper stepper(model);
  const auto step = [&] { stepper.step(ids, adapter); };
  const std::int64_t sides = model.layout().encoder ? 2 : 1;
  return measure({sides * shape.rows * shape.length, step, [] {}, step}, repeat, progress);
}

Measured rate_of(std::int64_t tokens, const std::vector<double>& seconds) {
  Measured measured;
  for (const double one : seconds) {
    measured.tokens_per_second.push_back(static_cast<double>(tokens) / one);
  }
  const auto count = static_cast<double>(seconds.size());
  if (count == 0) return measured;
  for (const double rate : measured.tokens_per_second) measured.mean += rate / count;
  if (count == 1) return measured;
  double squares = 0;
  for (const double rate : measured.tokens_per_second) {
    squares += (rate - measured.mean) * (rate - measured.mean);
  }
  measured.deviation = std::sqrt(squares / (count - 1));
  return measured;
}

}  // namespace qloft::measure
