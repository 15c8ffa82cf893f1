#pragma once
// One sequence of the engine: from logits to text, and what its caches hold.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "beam_search.h"
#include "qloft/core/random.h"
#include "qloft/generate.h"
#include "writer.h"

namespace qloft::generate {

// Ids, the first of which a cache holds.
struct Row {
  std::vector<tokenizer::TokenId> seen;  // prompt and new ids
  model::KeyValueCache cache;

  std::int64_t missing() const { return std::ssize(seen) - cache.length(); }
  // The first tokens that are neither in the cache nor more than `most`.
  std::vector<std::int64_t> next_tokens(std::int64_t most) const;
};

struct Engine::Sequence {
  Sequence(Request wanted, const tokenizer::Tokenizer& tokenizer, model::KeyValueCache past);
  Sequence(const Sequence&) = delete;

  // Takes the next id of each row from `logits`, f32 [rows, vocabulary] on the CPU, which it
  // changes; after it `finished` may be set.
  void choose(const at::Tensor& logits);
  void finish(StopReason reason);

  Request request;
  const tokenizer::Tokenizer& tokenizer;
  std::vector<Row> rows;  // one; in a search, once it has begun, one for each beam
  TextWriter writer;
  Random random;
  std::optional<BeamSearch> search;
  std::vector<Result> results;  // one while it runs
  bool finished = false;

 private:
  void process_row(std::span<const tokenizer::TokenId> ids, std::span<float> scores) const;
  void choose_one(std::span<float> logits);
  void choose_beams(const at::Tensor& logits);
  void follow_beams();
  void finish_search(StopReason reason);
  bool ends(tokenizer::TokenId id) const;
};

}  // namespace qloft::generate
