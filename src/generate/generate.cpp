#include "qloft/generate.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/data/end_tokens.h"
#include "sampling.h"
#include "writer.h"

namespace qloft::generate {
namespace {

at::Tensor row_of_ids(std::span<const tokenizer::TokenId> ids) {
  auto tensor = at::empty({1, static_cast<std::int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tensor.data_ptr<std::int64_t>());
  return tensor;
}

// Logits of the last position of each row: f32 [rows, vocabulary] in host memory.
at::Tensor last_logits(model::Model& model, const model::Input& input,
                       model::KeyValueCache& cache) {
  const auto hidden = model.hidden(input, &cache);
  const auto last = hidden.select(1, hidden.size(1) - 1);
  return model.logits(last, input.adapters).to(at::kCPU, at::kFloat).contiguous();
}

std::span<float> row(at::Tensor& logits, std::int64_t i) {
  const auto width = static_cast<std::size_t>(logits.size(1));
  return {logits.data_ptr<float>() + i * logits.size(1), width};
}

bool ends(const Options& options, tokenizer::TokenId id) {
  return !options.ignore_eos &&
         std::find(options.eos.begin(), options.eos.end(), id) != options.eos.end();
}

void check(const model::Model& model, const std::vector<tokenizer::TokenId>& prompt,
           const Options& options) {
  options.sampling.validate();
  if (prompt.empty()) throw InputError({{}, "prompt"}, "expected at least one token, found none");
  if (options.max_tokens < 0) {
    throw InputError({{}, "max_tokens"},
                     "expected 0 or more, found " + std::to_string(options.max_tokens));
  }
  const std::int64_t vocabulary = model.layout().vocabulary_size;
  for (const tokenizer::TokenId id : prompt) {
    if (id < 0 || id >= vocabulary) {
      throw InputError({{}, "prompt"}, "token " + std::to_string(id) +
                                           " is outside the model's vocabulary of " +
                                           std::to_string(vocabulary));
    }
  }
}

// One row's way from logits to text.
struct RowState {
  std::vector<tokenizer::TokenId> seen;  // prompt and new ids
  TextWriter writer;
  Random random;
  Result result;
  bool finished = false;

  RowState(const std::vector<tokenizer::TokenId>& prompt, const tokenizer::Tokenizer& tokenizer,
           const Options& options, const Sink& sink, std::uint64_t stream)
      : seen(prompt),
        writer(tokenizer, options.stop, sink),
        random(options.sampling.seed, stream) {}

  // Takes the next id from `logits`; after it `finished` may be set.
  void step(std::span<float> logits, const Options& options) {
    penalize_repetition(logits, seen, options.sampling.repetition_penalty);
    const tokenizer::TokenId id = sample(logits, options.sampling, random);
    if (ends(options, id)) {
      finish(StopReason::eos);
      return;
    }
    seen.push_back(id);
    result.ids.push_back(id);
    if (!writer.push(id)) {
      finish(writer.met_stop_string() ? StopReason::stop_string : StopReason::interrupted);
    } else if (static_cast<std::int64_t>(result.ids.size()) >= options.max_tokens) {
      finish(StopReason::length);
    }
  }

  void finish(StopReason reason) {
    writer.finish();
    result.text = writer.text();
    result.reason = reason;
    finished = true;
  }
};

}  // namespace

Result generate(model::Model& model, const tokenizer::Tokenizer& tokenizer,
                const std::vector<tokenizer::TokenId>& prompt, const Options& options,
                const Sink& sink) {
  Session session(
      model, tokenizer,
      static_cast<std::int64_t>(prompt.size()) + std::max<std::int64_t>(1, options.max_tokens));
  return session.reply(prompt, options, sink);
}

std::vector<Result> generate_batch(model::Model& model, const tokenizer::Tokenizer& tokenizer,
                                   const std::vector<std::vector<tokenizer::TokenId>>& prompts,
                                   const Options& options) {
  if (prompts.empty()) return {};
  const at::NoGradGuard no_gradients;
  const auto count = static_cast<std::int64_t>(prompts.size());
  std::int64_t longest = 0;
  std::vector<RowState> rows;
  rows.reserve(prompts.size());
  const Sink no_sink;
  for (const auto& prompt : prompts) {
    check(model, prompt, options);
    longest = std::max(longest, static_cast<std::int64_t>(prompt.size()));
    rows.emplace_back(prompt, tokenizer, options, no_sink, rows.size());
    if (options.max_tokens == 0) rows.back().finish(StopReason::length);
  }

  // Left padding: the last position of every row is the one that predicts.
  auto ids = at::zeros({count, longest}, at::kLong);
  auto positions = at::zeros({count, longest}, at::kLong);
  auto segments = at::full({count, longest}, -1, at::kLong);
  for (std::int64_t r = 0; r < count; ++r) {
    const auto& prompt = prompts[static_cast<std::size_t>(r)];
    const std::int64_t start = longest - static_cast<std::int64_t>(prompt.size());
    for (std::int64_t i = start; i < longest; ++i) {
      const std::int64_t at = r * longest + i;
      ids.data_ptr<std::int64_t>()[at] = prompt[static_cast<std::size_t>(i - start)];
      positions.data_ptr<std::int64_t>()[at] = i - start;
      segments.data_ptr<std::int64_t>()[at] = 0;
    }
  }
  auto cache = model.make_cache(count, longest + options.max_tokens);
  model::Input input{ids.to(model.device()),
                     positions.to(model.device()),
                     segments.to(model.device()),
                     {options.adapter}};

  std::vector<std::int64_t> alive(prompts.size());  // which prompt each row of the cache belongs to
  for (std::size_t i = 0; i < alive.size(); ++i) alive[i] = static_cast<std::int64_t>(i);
  while (options.max_tokens > 0) {
    auto logits = last_logits(model, input, cache);
    std::vector<std::int64_t> kept_rows, kept_prompts;
    for (std::size_t r = 0; r < alive.size(); ++r) {
      RowState& state = rows[static_cast<std::size_t>(alive[r])];
      state.step(row(logits, static_cast<std::int64_t>(r)), options);
      if (state.finished) continue;
      kept_rows.push_back(static_cast<std::int64_t>(r));
      kept_prompts.push_back(alive[r]);
    }
    if (kept_rows.empty()) break;
    if (kept_rows.size() < alive.size()) cache.select_rows(kept_rows);
    alive = std::move(kept_prompts);
    const auto left = static_cast<std::int64_t>(alive.size());
    auto next = at::empty({left, 1}, at::kLong);
    auto next_positions = at::empty({left, 1}, at::kLong);
    for (std::int64_t r = 0; r < left; ++r) {
      const auto& seen = rows[static_cast<std::size_t>(alive[static_cast<std::size_t>(r)])].seen;
      next.data_ptr<std::int64_t>()[r] = seen.back();
      next_positions.data_ptr<std::int64_t>()[r] = static_cast<std::int64_t>(seen.size()) - 1;
    }
    input = {next.to(model.device()),
             next_positions.to(model.device()),
             at::zeros({left, 1}, at::kLong).to(model.device()),
             {options.adapter}};
  }
  std::vector<Result> results;
  results.reserve(rows.size());
  for (RowState& state : rows) results.push_back(std::move(state.result));
  return results;
}

Session::Session(model::Model& model, tokenizer::Tokenizer tokenizer, std::int64_t capacity)
    : model_(&model), tokenizer_(std::move(tokenizer)), capacity_(capacity) {
  reset();
}

void Session::reset() {
  cache_ = std::make_shared<model::KeyValueCache>(model_->make_cache(1, capacity_));
  held_.clear();
}

Result Session::reply(const std::vector<tokenizer::TokenId>& whole_prompt, const Options& options,
                      const Sink& sink) {
  check(*model_, whole_prompt, options);
  const at::NoGradGuard no_gradients;
  RowState state(whole_prompt, tokenizer_, options, sink, 0);
  const auto prompt_size = static_cast<std::int64_t>(whole_prompt.size());
  if (prompt_size + options.max_tokens > capacity_) {
    throw InputError({{}, "prompt"}, "expected at most " + std::to_string(capacity_) +
                                         " tokens with the reply, found " +
                                         std::to_string(prompt_size + options.max_tokens));
  }
  if (options.max_tokens == 0) {
    state.finish(StopReason::length);
    return std::move(state.result);
  }

  // At least the last prompt token is computed again: its logits are what is wanted.
  const std::size_t reusable = std::min(held_.size(), whole_prompt.size() - 1);
  const auto common = static_cast<std::size_t>(
      std::mismatch(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(reusable),
                    whole_prompt.begin())
          .first -
      held_.begin());
  cache_->truncate(static_cast<std::int64_t>(common));
  held_ = whole_prompt;
  std::span<const tokenizer::TokenId> fresh = std::span(whole_prompt).subspan(common);
  while (true) {
    const model::Input input{.ids = row_of_ids(fresh).to(model_->device()),
                             .adapters = {options.adapter}};
    auto logits = last_logits(*model_, input, *cache_);
    state.step(row(logits, 0), options);
    if (state.finished) break;
    held_.push_back(state.seen.back());
    fresh = std::span(held_).last(1);
  }
  return std::move(state.result);
}

std::vector<tokenizer::TokenId> end_tokens(const checkpoint::Checkpoint& source,
                                           const tokenizer::Tokenizer& tokenizer) {
  return data::end_tokens(source.folder(), tokenizer).ids;
}

}  // namespace qloft::generate
