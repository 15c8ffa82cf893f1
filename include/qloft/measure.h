#pragma once
// measure: how many tokens a second a model takes in, writes and trains on this machine, and the
// memory that this takes. The tokens are random: what they say does not change the time.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/model.h"

namespace qloft::measure {

// What is measured `times` times. A first pass brings weights and code into memory and is in no
// figure: all of a prompt, one step of training, but one token of decoding.
struct Repeat {
  std::int64_t times = 5;
  bool warm_up = true;
};

// `tokens` tokens behind `depth` others that the cache holds already, which count for nothing.
struct Span {
  std::int64_t tokens = 0;
  std::int64_t depth = 0;
  std::int64_t source = 0;  // tokens of the source whose target an encoder-decoder decodes
};

struct TrainShape {
  std::int64_t rows = 1;      // sequences a step, of an encoder-decoder as many targets of sources
  std::int64_t length = 512;  // of a source and of its target, both of which count
  bool checkpointing = false;
};

struct Measured {
  std::vector<double> tokens_per_second;  // of each repetition
  double mean = 0;
  std::optional<double> deviation;           // standard deviation of the sample; of one: none
  std::optional<std::uint64_t> peak_memory;  // resident bytes; none where the system does not tell
};

// As generate takes a prompt in, in parts, with the logits of its last token; of an
// encoder-decoder as a source, behind nothing, with those of the target's first token.
Measured prompt(model::Model& model, model::AdapterId adapter, const Span& span,
                const Repeat& repeat, Progress& progress);
// Token by token, with the logits of each.
Measured decode(model::Model& model, model::AdapterId adapter, const Span& span,
                const Repeat& repeat, Progress& progress);
// Forward, backward and AdamW on what the model trains (Model::attach).
Measured train(model::Model& model, model::AdapterId adapter, const TrainShape& shape,
               const Repeat& repeat, Progress& progress);
// All three call progress.update() after each repetition, and throw Interrupted between two of them
// where it asks to stop.

// Mean and deviation of `tokens` in each of `seconds`.
Measured rate_of(std::int64_t tokens, const std::vector<double>& seconds);

// As the system names it: "AMD EPYC 9B14"; else "unknown".
std::string processor_name();

}  // namespace qloft::measure
