#pragma once
// One sequence of the engine: from logits to text, and what its cache holds.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "qloft/core/random.h"
#include "qloft/generate.h"
#include "writer.h"

namespace qloft::generate {

struct Engine::Sequence {
  Sequence(Request wanted, const tokenizer::Tokenizer& tokenizer, model::KeyValueCache past)
      : request(std::move(wanted)),
        seen(request.prompt),
        cache(std::move(past)),
        writer(tokenizer, request.options.stop, request.sink),
        random(request.options.sampling.seed, request.stream) {}
  Sequence(const Sequence&) = delete;

  // Takes the next id from `logits` [vocabulary], which it changes; after it `finished` may be set.
  void choose(std::span<float> logits);
  void finish(StopReason reason);
  // The first tokens that are neither in the cache nor more than `most`.
  std::vector<std::int64_t> next_tokens(std::int64_t most) const;
  std::int64_t missing() const { return std::ssize(seen) - cache.length(); }

  Request request;
  std::vector<tokenizer::TokenId> seen;  // prompt and new ids, of which the cache holds the first
  model::KeyValueCache cache;
  TextWriter writer;
  Random random;
  Result result;
  bool finished = false;
};

}  // namespace qloft::generate
