#include "sequence.h"

#include <ATen/ops/log_softmax.h>

#include <algorithm>

#include "logits_processors.h"
#include "sampling.h"

namespace qloft::generate {
namespace {

using tokenizer::TokenId;

std::span<float> row_of(const at::Tensor& rows, std::int64_t index) {
  const std::int64_t width = rows.size(1);
  return {rows.data_ptr<float>() + index * width, static_cast<std::size_t>(width)};
}

std::vector<TokenId> eos_of(const Options& options) {
  return options.ignore_eos ? std::vector<TokenId>{} : options.eos;
}

bool met(const std::string& text, const std::vector<std::string>& stop) {
  return std::ranges::any_of(stop, [&](const std::string& word) {
    return !word.empty() && text.find(word) != std::string::npos;
  });
}

BeamSearch::Ends ends_of_search(const Options& options, const tokenizer::Tokenizer& tokenizer) {
  BeamSearch::Ends ends{eos_of(options), options.max_tokens, {}};
  if (!options.stop.empty()) {
    ends.stops = [&](const BeamSearch::Ids& ids) {
      return met(tokenizer.decode(ids, true), options.stop);
    };
  }
  return ends;
}

std::int64_t common_ids(const Row& a, const Row& b) {
  return std::ranges::mismatch(a.seen, b.seen).in1 - a.seen.begin();
}

}  // namespace

std::vector<std::int64_t> Row::next_tokens(std::int64_t most) const {
  const auto first = seen.begin() + cache.length();
  return {first, first + std::min(most, missing())};
}

Engine::Sequence::Sequence(Request wanted, const tokenizer::Tokenizer& own_tokenizer,
                           model::KeyValueCache past)
    : request(std::move(wanted)),
      tokenizer(own_tokenizer),
      rows{{request.prompt, std::move(past)}},
      writer(tokenizer, request.options.stop, request.sink),
      random(request.options.sampling.seed, request.stream),
      results(1) {
  const Options& options = request.options;
  if (options.beams.num_beams > 1)
    search.emplace(options.beams, ends_of_search(options, tokenizer));
}

bool Engine::Sequence::ends(TokenId id) const {
  const Options& options = request.options;
  return !options.ignore_eos && std::ranges::find(options.eos, id) != options.eos.end();
}

void Engine::Sequence::process_row(std::span<const TokenId> ids, std::span<float> scores) const {
  const Options& options = request.options;
  const std::int64_t prompt = std::ssize(request.prompt);
  const auto eos = eos_of(options);
  const auto& source = request.source.empty() ? request.prompt : request.source;
  process(options.processors, {ids, prompt, prompt + options.max_tokens, eos, source}, scores);
  if (!search) return;
  // At least one continuation that does not end.
  const std::int64_t keep = std::max<std::int64_t>(2, std::ssize(eos) + 1);
  if (options.sampling.temperature > 0) filter(scores, options.sampling, keep);
  if (options.processors.renormalize_logits) renormalize(scores);
}

void Engine::Sequence::choose(const at::Tensor& logits) {
  if (search) return choose_beams(at::log_softmax(logits, 1));
  choose_one(row_of(logits, 0));
}

void Engine::Sequence::choose_one(std::span<float> logits) {
  const Options& options = request.options;
  Row& row = rows.front();
  Result& result = results.front();
  process_row(row.seen, logits);
  const TokenId id = sample(logits, options.sampling, random);
  if (ends(id)) return finish(StopReason::eos);
  row.seen.push_back(id);
  result.ids.push_back(id);
  if (!writer.push(id)) {
    finish(writer.met_stop_string() ? StopReason::stop_string : StopReason::interrupted);
  } else if (std::ssize(result.ids) >= options.max_tokens) {
    finish(StopReason::length);
  }
}

// All beams begin with the one row of the prompt.
void Engine::Sequence::choose_beams(const at::Tensor& scores) {
  const Options& options = request.options;
  std::vector<std::span<const float>> of_beams;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = row_of(scores, static_cast<std::int64_t>(i));
    process_row(rows[i].seen, row);
    of_beams.emplace_back(row);
  }
  of_beams.resize(search->beams().size(), of_beams.front());
  search->step(of_beams, options.sampling.temperature > 0 ? &random : nullptr);
  if (search->done()) return finish_search(StopReason::length);
  if (request.sink && !request.sink({})) return finish_search(StopReason::interrupted);
  follow_beams();
}

// A beam goes on in the cache of its parent; of several children all but the first take over that
// of a beam that has none, or a new one. What the two have in common is there already.
void Engine::Sequence::follow_beams() {
  const auto& beams = search->beams();
  const auto parent_of = [&](std::size_t i) { return rows.size() == 1 ? 0 : beams[i].parent; };
  std::vector<std::int64_t> children(rows.size(), 0);
  for (std::size_t i = 0; i < beams.size(); ++i) ++children[parent_of(i)];
  std::vector<std::size_t> spare;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (children[i] == 0) spare.push_back(i);
  }
  std::vector<bool> taken(rows.size(), false);
  std::vector<Row> next;
  for (std::size_t i = 0; i < beams.size(); ++i) {
    const std::size_t parent = parent_of(i);
    const Row& from = rows[parent];
    if (!taken[parent]) {
      next.push_back(from);
      taken[parent] = true;
    } else if (spare.empty()) {
      next.push_back({from.seen, from.cache.fork()});
    } else {
      Row& to = rows[spare.back()];
      spare.pop_back();
      to.cache.follow(from.cache, std::min(common_ids(to, from), to.cache.length()));
      next.push_back({from.seen, to.cache});
    }
    next.back().seen.push_back(beams[i].ids.back());
  }
  rows = std::move(next);
}

void Engine::Sequence::finish_search(StopReason reason) {
  const Options& options = request.options;
  results.clear();
  for (const BeamSearch::Hypothesis& one : search->best()) {
    Result result{one.ids, {}, reason, one.score};
    if (!result.ids.empty() && one.finished && ends(result.ids.back())) {
      result.ids.pop_back();
      result.reason = StopReason::eos;
    }
    const bool best = results.empty();
    const Sink none;
    TextWriter own(tokenizer, options.stop, none);
    TextWriter& text = best ? writer : own;
    for (const TokenId id : result.ids) {
      if (!text.push(id)) break;
    }
    text.finish();
    result.text = text.text();
    if (text.met_stop_string()) result.reason = StopReason::stop_string;
    results.push_back(std::move(result));
  }
  finished = true;
}

void Engine::Sequence::finish(StopReason reason) {
  writer.finish();
  results.front().text = writer.text();
  results.front().reason = reason;
  finished = true;
}

}  // namespace qloft::generate
