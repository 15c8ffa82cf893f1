#include "sequence.h"

#include <algorithm>

#include "sampling.h"

namespace qloft::generate {
namespace {

bool ends(const Options& options, tokenizer::TokenId id) {
  return !options.ignore_eos && std::ranges::find(options.eos, id) != options.eos.end();
}

}  // namespace

void Engine::Sequence::choose(std::span<float> logits) {
  const Options& options = request.options;
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
  } else if (std::ssize(result.ids) >= options.max_tokens) {
    finish(StopReason::length);
  }
}

void Engine::Sequence::finish(StopReason reason) {
  writer.finish();
  result.text = writer.text();
  result.reason = reason;
  finished = true;
}

std::vector<std::int64_t> Engine::Sequence::next_tokens(std::int64_t most) const {
  const auto first = seen.begin() + cache.length();
  return {first, first + std::min(most, missing())};
}

}  // namespace qloft::generate
