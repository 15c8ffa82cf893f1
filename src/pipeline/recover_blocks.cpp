#include "recover_blocks.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/interrupt.h"
#include "qloft/objectives.h"
#include "training_output.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

using at::Tensor;

// A model and what its blocks made of each example so far: CPU [1, length, columns].
struct Stream {
  model::Model& model;
  std::vector<model::AdapterId> adapters;
  std::vector<Tensor> states = {};
};

void embed(Stream& stream, const train::Examples& examples) {
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    const data::Example example = std::move(examples.get({i}).front());
    Tensor ids = at::empty({1, std::ssize(example.ids)}, at::kLong);
    std::ranges::copy(example.ids, ids.data_ptr<std::int64_t>());
    model::Input input{ids.to(stream.model.device())};
    input.adapters = stream.adapters;
    stream.states.push_back(stream.model.embed(input).cpu());
  }
}

std::string block_name(const model::Model& model, std::int64_t block) {
  return "block " + std::to_string(block + 1) + " of " + std::to_string(model.layout().layers());
}

// Takes the states through the block.
void advance(Stream& stream, std::int64_t block, std::string_view whose, Progress& progress) {
  const at::NoGradGuard no_grad;
  const Interruptible interruptible(progress);
  progress.begin(whose, stream.states.size(), "sequences");
  std::uint64_t done = 0;
  for (Tensor& state : stream.states) {
    state = stream.model.block(block, state.to(stream.model.device()), stream.adapters).cpu();
    progress.update(++done, "");
    if (progress.stop_requested()) throw Interrupted({}, "stopped");
  }
  progress.end();
}

// The states of a batch's rows, zeros behind them: [rows, length, columns].
Tensor rows_of(const std::vector<Tensor>& states, const train::Batch& batch) {
  const Tensor& any = states.front();
  Tensor out =
      at::zeros({batch.input.ids.size(0), batch.input.ids.size(1), any.size(2)}, any.options());
  for (std::size_t row = 0; row < batch.examples.size(); ++row) {
    const Tensor& state = states[static_cast<std::size_t>(batch.examples[row])];
    out.select(0, static_cast<std::int64_t>(row)).narrow(0, 0, state.size(1)).copy_(state[0]);
  }
  return out.to(batch.input.ids.device());
}

// Those of the batch's predictions: each position's of a row but the last.
Tensor predicting(const std::vector<Tensor>& states, const train::Batch& batch) {
  std::vector<Tensor> out;
  for (const std::int64_t example : batch.examples) {
    const Tensor& state = states[static_cast<std::size_t>(example)];
    out.push_back(state[0].narrow(0, 0, state.size(1) - 1));
  }
  return at::cat(out);
}

train::Options options_of(const train::Options& all, std::int64_t block) {
  train::Options options = all;
  const std::string number = std::to_string(block);
  options.folder = all.folder / number;
  options.log_folder = all.log_folder / "blocks" / number;
  options.setup += ", block " + number;
  std::error_code error;
  options.resume = all.resume && fs::exists(options.folder / kTrainingState, error);
  make_folders(options.folder);
  make_folders(options.log_folder);
  return options;
}

void add(train::Summary& all, const train::Summary& block) {
  all.steps += block.steps;
  all.tokens += block.tokens;
  all.seconds += block.seconds;
  all.first_loss += block.first_loss;
  all.last_loss += block.last_loss;
}

void finish(train::Summary& summary, std::int64_t blocks) {
  if (blocks > 0) {
    summary.first_loss /= static_cast<double>(blocks);
    summary.last_loss /= static_cast<double>(blocks);
  }
  if (summary.seconds > 0) {
    summary.tokens_per_second = static_cast<double>(summary.tokens) / summary.seconds;
  }
}

}  // namespace

train::Summary recover_blocks(model::Model& student, model::AdapterId adapter, LoadedModel& teacher,
                              const train::Examples& examples, const train::Options& options,
                              const train::Save& save, Progress& progress) {
  Stream own{student, {adapter}}, wanted{teacher.model, {teacher.adapter}};
  embed(own, examples);
  embed(wanted, examples);
  train::Summary summary;
  std::int64_t trained_blocks = 0;
  for (std::int64_t block = 0; block < student.layout().layers(); ++block) {
    const train::Options training = options_of(options, block);
    PartProgress part(progress, block_name(student, block));
    try {
      advance(wanted, block, "teacher", part);
      const auto trained = student.trainable(block);
      if (!trained.empty()) {
        const train::Objective objective = [&](model::Model& model, const train::Batch& batch) {
          return objectives::distillation_of_block(model, block, rows_of(own.states, batch),
                                                   batch.input, batch.loss_mask,
                                                   predicting(wanted.states, batch));
        };
        add(summary,
            train::train(student, adapter, examples, {}, training, save, part, objective, trained));
        ++trained_blocks;
      }
      advance(own, block, "student", part);
    } catch (const Interrupted&) {
      progress.end();
      std::error_code error;
      if (block == 0 && !fs::exists(training.folder / kTrainingState, error)) throw;
      throw Interrupted(
          {}, "stopped in " + block_name(student, block) + "; --resume goes on from there");
    }
  }
  finish(summary, trained_blocks);
  return summary;
}

}  // namespace qloft::pipeline
