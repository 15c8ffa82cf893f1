#include "qloft/train.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <unordered_set>
#include <utility>

#include "batches.h"
#include "metrics.h"
#include "optimizer.h"
#include "order.h"
#include "qloft/core/error.h"
#include "qloft/core/fingerprint.h"
#include "qloft/core/interrupt.h"
#include "qloft/core/threads.h"
#include "qloft/objectives.h"
#include "state.h"

namespace qloft::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Names and shapes of the dense weights that are not trained, and some of their values.
std::string fingerprint_of(const model::Model& model) {
  constexpr std::int64_t kSamples = 1024;
  std::unordered_set<const void*> trained;
  for (const auto& [name, tensor] : model.trainable()) trained.insert(tensor.data_ptr());
  std::uint64_t hash = 0;
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : model.dense_weights()) {
    if (trained.contains(tensor.data_ptr())) continue;
    hash = mix(hash, name);
    for (const std::int64_t size : tensor.sizes())
      hash = mix(hash, static_cast<std::uint64_t>(size));
    const at::Tensor flat = tensor.detach().reshape(-1);
    const std::int64_t stride = std::max<std::int64_t>(1, flat.numel() / kSamples);
    const at::Tensor samples = flat.slice(0, 0, flat.numel(), stride).contiguous().cpu();
    hash =
        mix(hash, std::span(static_cast<const std::byte*>(samples.data_ptr()), samples.nbytes()));
  }
  return hex(hash);
}

std::string data_fingerprint(const Examples& train, const std::optional<Examples>& validation) {
  std::uint64_t hash = mix(train.fingerprint(), static_cast<std::uint64_t>(train.size()));
  if (validation) hash = mix(hash, validation->fingerprint());
  return hex(hash);
}

class Run {
 public:
  Run(model::Model& model, model::AdapterId adapter, const Examples& examples,
      const std::optional<Examples>& validation, const Options& options, const Save& save,
      Progress& progress, const Objective& objective, const NamedTensors& trained,
      const std::optional<Validation>& measure)
      : model_(model),
        adapter_(adapter),
        options_(options),
        save_(save),
        progress_(progress),
        objective_(objective),
        measure_(measure),
        examples_(examples),
        validation_(validation),
        order_(examples_.lengths(), options),
        steps_(total_steps(options, order_.steps_per_epoch())),
        optimizer_(trained.empty() ? model.trainable() : trained,
                   {options.beta1, options.beta2, options.epsilon, options.weight_decay,
                    options.loraplus_lr_ratio}) {
    warn_about_data();
    identity_ = {options_, steps_, data_fingerprint(examples_, validation_), fingerprint_of(model_),
                 thread_count()};
  }

  Summary run() {
    begin();
    while (state_.step < steps_ && !state_.stopped_early) {
      if (!take_step()) stop();
      if (evaluation_due()) evaluate();
      if (state_.step == steps_ || state_.stopped_early) break;
      if (options_.save_every > 0 && state_.step % options_.save_every == 0) save();
      if (progress_.stop_requested()) stop();
    }
    if (validates() && state_.evaluated_step != state_.step) evaluate();
    save();
    progress_.end();
    return summary();
  }

 private:
  void warn_about_data() const {
    for (const std::string& note : examples_.omissions().notes()) progress_.warn(note);
    if (!validation_) return;
    for (const std::string& note : validation_->omissions().notes()) {
      progress_.warn("validation: " + note);
    }
  }

  void begin() {
    if (options_.resume) {
      const Resumed resumed = load_state(options_.folder, identity_, optimizer_);
      state_ = resumed.state;
      saved_step_ = state_.step;
      if (resumed.threads != identity_.threads) {
        progress_.note("resumed on " + std::to_string(identity_.threads) + " threads, begun on " +
                       std::to_string(resumed.threads) +
                       ": the result may differ in its last bits from one without a break");
      }
    } else {
      remove_state(options_.folder);
    }
    const auto& log_folder = options_.log_folder.empty() ? options_.folder : options_.log_folder;
    metrics_.emplace(log_folder, state_.step);
    model_.set_checkpointing(options_.checkpointing);
    model_.set_training(true);
    seconds_before_ = state_.seconds;
    start_ = Clock::now();
    progress_.begin("train", static_cast<std::uint64_t>(steps_), "steps");
    if (state_.step > 0) progress_.update(static_cast<std::uint64_t>(state_.step), "resumed");
  }

  // False where the user asked to stop meanwhile: nothing of the step is left.
  bool take_step() {
    const auto start = Clock::now();
    const std::vector<Batch> batches =
        prepare_step(examples_, order_.step(state_.step), options_, model_, adapter_);
    std::int64_t predictions = 0, tokens = 0;
    for (const Batch& batch : batches) {
      predictions += batch.predictions;
      tokens += batch.tokens;
    }
    // Dropout too is a function of the seed and the step, so that a resumed run draws the same.
    constexpr std::uint64_t kDropoutStream = 0x64726f70u;
    model_.set_dropout_seed(
        mix(mix(options_.seed, kDropoutStream), static_cast<std::uint64_t>(state_.step)));
    double sum = 0;
    try {
      const Interruptible interruptible(progress_);
      for (const Batch& batch : batches) {
        const objectives::Loss loss = objective_(model_, batch);
        sum += loss.sum.item<double>();
        require_finite(sum, "loss", state_.step + 1);
        (loss.sum / static_cast<double>(predictions)).backward();
      }
    } catch (const Interrupted&) {
      return false;
    }
    const double norm = optimizer_.gradient_norm();
    require_finite(norm, "gradient norm", state_.step + 1);
    const double rate = learning_rate(options_, state_.step, steps_);
    optimizer_.step(rate, clip_scale(norm, options_.clip));

    if (state_.step == 0) state_.first_loss = sum / static_cast<double>(predictions);
    state_.last_loss = sum / static_cast<double>(predictions);
    state_.tokens += tokens;
    state_.seconds = seconds_before_ + seconds_since(start_);
    ++state_.step;
    const double seconds = seconds_since(start);
    metrics_->step({state_.step, state_.last_loss, rate, norm, state_.tokens,
                    static_cast<double>(tokens) / seconds, state_.seconds});
    report(static_cast<double>(tokens), seconds);
    return true;
  }

  void require_finite(double value, std::string_view what, std::int64_t step) const {
    if (std::isfinite(value)) return;
    const std::string where = saved_step_ >= 0
                                  ? "the last good save is of step " + std::to_string(saved_step_) +
                                        " in " + options_.folder.string()
                                  : "nothing was saved before";
    throw ComputationError({{}, "step " + std::to_string(step)},
                           "the " + std::string(what) + " is not a finite number; " + where);
  }

  void report(double tokens, double seconds) {
    // A running mean over about twenty steps.
    constexpr double kKept = 0.95;
    recent_tokens_ = kKept * recent_tokens_ + tokens;
    recent_seconds_ = kKept * recent_seconds_ + seconds;
    std::array<char, 96> note{};
    std::snprintf(note.data(), note.size(), "loss %.4f, %.0f tokens/s", state_.last_loss,
                  recent_tokens_ / recent_seconds_);
    std::string text = note.data();
    if (state_.best_validation_loss) {
      std::snprintf(note.data(), note.size(), ", best validation %.4f",
                    *state_.best_validation_loss);
      text += note.data();
    }
    progress_.update(static_cast<std::uint64_t>(state_.step), text);
  }

  bool evaluation_due() const {
    const std::int64_t every =
        options_.evaluate_every > 0 ? options_.evaluate_every : order_.steps_per_epoch();
    return validates() && state_.step % every == 0;
  }

  bool validates() const { return validation_ || measure_; }

  bool is_best(double value) const {
    if (!state_.best_validation_loss) return true;
    const bool higher = measure_ && measure_->higher_is_better;
    return higher ? value > *state_.best_validation_loss : value < *state_.best_validation_loss;
  }

  void evaluate() {
    const double loss = measure_ ? measure_->measure(model_)
                                 : validation_loss(model_, adapter_, *validation_, options_.batch);
    require_finite(loss, "validation loss", state_.step);
    model_.set_training(true);
    state_.evaluated_step = state_.step;
    state_.seconds = seconds_before_ + seconds_since(start_);
    metrics_->validation(state_.step, measure_ ? measure_->name : "loss", loss);
    if (is_best(loss)) {
      state_.best_validation_loss = loss;
      state_.best_step = state_.step;
      state_.evaluations_without_better = 0;
      if (save_) save_(state_.step);
      return;
    }
    ++state_.evaluations_without_better;
    state_.stopped_early =
        options_.patience > 0 && state_.evaluations_without_better >= options_.patience;
  }

  void save() {
    const Keeping keeping;
    save_state(options_.folder, state_, identity_, optimizer_);
    saved_step_ = state_.step;
    if (!validates() && save_) save_(state_.step);
  }

  [[noreturn]] void stop() {
    if (state_.step == 0) throw Interrupted({}, "stopped before the first step was done");
    save();
    progress_.end();
    throw Interrupted({}, "stopped after step " + std::to_string(state_.step) + " of " +
                              std::to_string(steps_) + "; --resume goes on from there");
  }

  Summary summary() const {
    Summary summary;
    summary.steps = state_.step;
    summary.tokens = state_.tokens;
    summary.first_loss = state_.first_loss;
    summary.last_loss = state_.last_loss;
    summary.best_validation_loss = state_.best_validation_loss;
    summary.best_step = state_.best_step;
    summary.stopped_early = state_.stopped_early;
    summary.seconds = state_.seconds;
    if (state_.seconds > 0) {
      summary.tokens_per_second = static_cast<double>(state_.tokens) / state_.seconds;
    }
    summary.truncated_examples = examples_.omissions().truncated;
    summary.skipped_examples = examples_.omissions().left_out;
    return summary;
  }

  model::Model& model_;
  model::AdapterId adapter_;
  const Options& options_;
  const Save& save_;
  Progress& progress_;
  const Objective& objective_;
  const std::optional<Validation>& measure_;
  const Examples& examples_;
  const std::optional<Examples>& validation_;
  Order order_;
  std::int64_t steps_;
  AdamW optimizer_;
  Identity identity_;
  RunState state_;
  std::optional<Metrics> metrics_;
  std::int64_t saved_step_ = -1;
  Clock::time_point start_;
  double seconds_before_ = 0;
  double recent_tokens_ = 0, recent_seconds_ = 0;
};

}  // namespace

Objective next_token() {
  return [](model::Model& model, const Batch& batch) {
    return objectives::next_token(model, batch.input, batch.loss_mask);
  };
}

Summary train(model::Model& model, model::AdapterId adapter, const Examples& examples,
              const std::optional<Examples>& validation, const Options& options, const Save& save,
              Progress& progress, const Objective& objective,
              const std::vector<std::pair<std::string, at::Tensor>>& trained,
              const std::optional<Validation>& measure) {
  options.validate();
  return Run(model, adapter, examples, validation, options, save, progress, objective, trained,
             measure)
      .run();
}

}  // namespace qloft::train
