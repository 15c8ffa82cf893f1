#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <string>

#include "qloft/core/error.h"
#include "sequence.h"

namespace qloft::generate {

// Positions that the model never learned give no sense, or nothing at all: a prompt has to fit.
void check_request(const Request& request, const architecture::Layout& layout) {
  request.options.sampling.validate();
  if (request.prompt.empty()) {
    throw InputError({{}, "prompt"}, "expected at least one token, found none");
  }
  if (request.options.max_tokens < 0) {
    throw InputError({{}, "max_tokens"},
                     "expected 0 or more, found " + std::to_string(request.options.max_tokens));
  }
  const std::int64_t vocabulary = layout.vocabulary_size;
  for (const tokenizer::TokenId id : request.prompt) {
    if (id >= 0 && id < vocabulary) continue;
    throw InputError({{}, "prompt"}, "token " + std::to_string(id) +
                                         " is outside the model's vocabulary of " +
                                         std::to_string(vocabulary));
  }
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
  auto cache = model_->make_cache(positions_of(request));
  const SequenceId id{next_id_++};
  sequences_[id] = std::make_unique<Sequence>(std::move(request), *tokenizer_, std::move(cache));
  return id;
}

void Engine::go_on(SequenceId id, Request request) {
  check_request(request, model_->layout());
  fit_positions(request, *model_);
  const Sequence& before = at(id);
  if (!before.finished) throw Error({{}, "sequence"}, "expected a finished one");
  model::KeyValueCache cache = before.cache;
  // At least the last token of the prompt is computed again: its logits are what is wanted.
  const std::int64_t most = std::min(cache.length(), std::ssize(request.prompt) - 1);
  const auto end = before.seen.begin() + most;
  const auto common = std::mismatch(before.seen.begin(), end, request.prompt.begin()).first;
  const bool same_adapter = before.request.options.adapter == request.options.adapter;
  cache.truncate(same_adapter ? common - before.seen.begin() : 0);
  cache.reserve(positions_of(request));
  sequences_[id] = std::make_unique<Sequence>(std::move(request), *tokenizer_, std::move(cache));
}

std::vector<SequenceId> Engine::step() {
  const at::NoGradGuard no_gradients;
  std::vector<SequenceId> done;
  std::vector<model::Continuation> continuations;
  std::vector<SequenceId> ready;        // those that have taken in all their tokens by this step
  std::vector<std::int64_t> ready_row;  // and where they are among the continuations
  std::vector<model::AdapterId> ready_adapter;
  std::int64_t room = prompt_tokens_;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->finished) continue;
    if (sequence->request.options.max_tokens == 0) {
      sequence->finish(StopReason::length);
      done.push_back(id);
      continue;
    }
    const bool prompt = sequence->missing() > 1;
    auto ids = sequence->next_tokens(prompt ? room : 1);
    if (ids.empty()) continue;
    if (prompt) room -= std::ssize(ids);
    const model::AdapterId adapter = sequence->request.options.adapter;
    if (std::ssize(ids) == sequence->missing()) {
      ready.push_back(id);
      ready_row.push_back(std::ssize(continuations));
      ready_adapter.push_back(adapter);
    }
    continuations.push_back({&sequence->cache, std::move(ids), adapter});
  }
  if (continuations.empty()) return done;
  at::Tensor last = model_->extend(continuations);
  if (ready.empty()) return done;
  last = last.index_select(0, at::tensor(ready_row, at::kLong).to(last.device()));
  const at::Tensor logits =
      model_->logits(last, ready_adapter).to(at::kCPU, at::kFloat).contiguous();
  const auto width = static_cast<std::size_t>(logits.size(1));
  for (std::size_t i = 0; i < ready.size(); ++i) {
    Sequence& sequence = at(ready[i]);
    sequence.choose({logits.data_ptr<float>() + i * width, width});
    if (sequence.finished) done.push_back(ready[i]);
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
  return at(id).result;
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
