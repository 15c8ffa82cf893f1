#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <string>

#include "qloft/core/error.h"
#include "sequence.h"
#include "source.h"

namespace qloft::generate {

// Positions that the model never learned give no sense, or nothing at all: a prompt has to fit.
void check_request(const Request& request, const architecture::Layout& layout) {
  request.options.sampling.validate();
  request.options.processors.validate();
  request.options.beams.validate();
  if (request.prompt.empty()) {
    throw InputError({{}, "prompt"}, "expected at least one token, found none");
  }
  if (request.options.max_tokens < 0) {
    throw InputError({{}, "max_tokens"},
                     "expected 0 or more, found " + std::to_string(request.options.max_tokens));
  }
  const std::int64_t vocabulary = layout.vocabulary_size;
  const auto expect_known = [&](std::span<const tokenizer::TokenId> ids, const char* field) {
    for (const tokenizer::TokenId id : ids) {
      if (id >= 0 && id < vocabulary) continue;
      throw InputError({{}, field}, "token " + std::to_string(id) +
                                        " is outside the model's vocabulary of " +
                                        std::to_string(vocabulary));
    }
  };
  expect_known(request.prompt, "prompt");
  const LogitsProcessors& processors = request.options.processors;
  if (const auto& bos = processors.forced_bos_token_id) {
    expect_known({&*bos, 1}, "forced_bos_token_id");
  }
  expect_known(processors.forced_eos_token_id, "forced_eos_token_id");
  check_source(request, layout);
  const std::int64_t most = layout.max_positions, prompt = std::ssize(request.prompt);
  if (most > 0 && prompt > most) {
    throw InputError({{}, "prompt"}, "expected at most the model's " + std::to_string(most) +
                                         " positions, found " + std::to_string(prompt) + " tokens");
  }
}

namespace {

// A continuation ends with the model's positions.
void fit_positions(Request& request, const model::Model& model) {
  const std::int64_t most = model.layout().max_positions;
  if (most <= 0) return;
  const std::int64_t prompt = std::ssize(request.prompt);
  std::int64_t& wanted = request.options.max_tokens;
  wanted = std::min(wanted, std::max<std::int64_t>(1, most - prompt));
}

std::int64_t positions_of(const Request& request) {
  return std::ssize(request.prompt) + request.options.max_tokens;
}

model::KeyValueCache fresh_cache(const model::Model& model, const Request& request) {
  return model.make_cache(positions_of(request), {request.source.begin(), request.source.end()},
                          request.options.adapter);
}

}  // namespace

Engine::Engine(model::Model& model, const tokenizer::Tokenizer& tokenizer,
               std::int64_t prompt_tokens)
    : model_(&model), tokenizer_(&tokenizer), prompt_tokens_(prompt_tokens) {
  if (prompt_tokens < 1) {
    throw InputError({{}, "prompt_tokens"},
                     "expected at least 1, found " + std::to_string(prompt_tokens));
  }
}

Engine::Engine(Engine&&) noexcept = default;
Engine::~Engine() = default;

SequenceId Engine::add(Request request) {
  check_request(request, model_->layout());
  fit_positions(request, *model_);
  auto cache = fresh_cache(*model_, request);
  const SequenceId id{next_id_++};
  sequences_[id] = std::make_unique<Sequence>(std::move(request), *tokenizer_, std::move(cache));
  return id;
}

void Engine::go_on(SequenceId id, Request request) {
  check_request(request, model_->layout());
  fit_positions(request, *model_);
  const Sequence& before = at(id);
  if (!before.finished) throw Error({{}, "sequence"}, "expected a finished one");
  // At least the last token of the prompt is computed again: its logits are what is wanted.
  const std::int64_t most = std::ssize(request.prompt) - 1;
  const auto common = [&](const Row& row) {
    const auto end = row.seen.begin() + std::min(most, row.cache.length());
    return std::mismatch(row.seen.begin(), end, request.prompt.begin()).first - row.seen.begin();
  };
  const Row& row = *std::ranges::max_element(before.rows, {}, common);
  const bool same_adapter = before.request.options.adapter == request.options.adapter;
  const bool other_source =
      model_->layout().encoder && (!same_adapter || request.source != before.request.source);
  model::KeyValueCache cache = other_source ? fresh_cache(*model_, request) : row.cache;
  cache.truncate(same_adapter && !other_source ? common(row) : 0);
  cache.reserve(positions_of(request));
  sequences_[id] = std::make_unique<Sequence>(std::move(request), *tokenizer_, std::move(cache));
}

std::vector<SequenceId> Engine::step() {
  const at::NoGradGuard no_gradients;
  std::vector<SequenceId> done;
  std::vector<model::Continuation> continuations;
  // Those that have taken in all their tokens by this step, and where their rows are among the
  // continuations.
  std::vector<SequenceId> ready;
  std::vector<std::int64_t> ready_rows;
  std::vector<model::AdapterId> ready_adapters;
  std::int64_t room = prompt_tokens_;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->finished) continue;
    if (sequence->request.options.max_tokens == 0) {
      sequence->finish(StopReason::length);
      done.push_back(id);
      continue;
    }
    const model::AdapterId adapter = sequence->request.options.adapter;
    for (Row& row : sequence->rows) {
      const bool prompt = row.missing() > 1;
      auto ids = row.next_tokens(prompt ? room : 1);
      if (ids.empty()) continue;
      if (prompt) room -= std::ssize(ids);
      if (std::ssize(ids) == row.missing()) {
        if (ready.empty() || ready.back() != id) ready.push_back(id);
        ready_rows.push_back(std::ssize(continuations));
        ready_adapters.push_back(adapter);
      }
      continuations.push_back({&row.cache, std::move(ids), adapter});
    }
  }
  if (continuations.empty()) return done;
  at::Tensor last = model_->extend(continuations);
  if (ready.empty()) return done;
  if (std::ssize(ready_rows) < last.size(0)) {
    last = last.index_select(0, at::tensor(ready_rows, at::kLong).to(last.device()));
  }
  const at::Tensor logits =
      model_->logits(last, ready_adapters).to(at::kCPU, at::kFloat).contiguous();
  std::int64_t first = 0;
  for (const SequenceId id : ready) {
    Sequence& sequence = at(id);
    const std::int64_t rows = std::ssize(sequence.rows);
    sequence.choose(logits.narrow(0, first, rows));
    first += rows;
    if (sequence.finished) done.push_back(id);
  }
  return done;
}

std::int64_t Engine::running() const {
  return std::ranges::count_if(sequences_, [](const auto& s) { return !s.second->finished; });
}

bool Engine::finished(SequenceId id) const {
  return at(id).finished;
}

const Result& Engine::result(SequenceId id) const {
  return at(id).results.front();
}

const std::vector<Result>& Engine::results(SequenceId id) const {
  return at(id).results;
}

void Engine::remove(SequenceId id) {
  at(id);
  sequences_.erase(id);
}

Engine::Sequence& Engine::at(SequenceId id) const {
  const auto found = sequences_.find(id);
  if (found != sequences_.end()) return *found->second;
  throw Error({{}, "sequence"},
              "there is no sequence " + std::to_string(static_cast<std::int64_t>(id)));
}

}  // namespace qloft::generate
