#include <algorithm>
#include <numeric>
#include <string>

#include "qloft/calibrate.h"
#include "qloft/core.h"

namespace qloft::calibrate {

std::vector<std::int64_t> draw_places(std::int64_t count, std::int64_t samples,
                                      std::uint64_t seed) {
  std::vector<std::int64_t> chosen(static_cast<std::size_t>(count));
  std::iota(chosen.begin(), chosen.end(), 0);
  Random(seed).shuffle(std::span(chosen));
  if (count > samples) chosen.resize(static_cast<std::size_t>(samples));
  std::ranges::sort(chosen);
  return chosen;
}

std::vector<data::Example> windows(std::span<const tokenizer::TokenId> ids, std::int64_t samples,
                                   std::int64_t length, std::uint64_t seed) {
  if (length < 2) {
    throw InputError({{}, "length"}, "expected at least 2, found " + std::to_string(length));
  }
  if (samples < 1) {
    throw InputError({{}, "samples"}, "expected at least 1, found " + std::to_string(samples));
  }
  const std::int64_t count = std::ssize(ids) / length;
  if (count == 0) {
    throw InputError({{}, "length"}, "the text has " + std::to_string(ids.size()) +
                                         " tokens, less than one sequence of " +
                                         std::to_string(length));
  }
  std::vector<data::Example> out;
  for (const std::int64_t window : draw_places(count, samples, seed)) {
    data::Example example;
    example.ids.assign(ids.begin() + window * length, ids.begin() + (window + 1) * length);
    example.loss_mask.assign(example.ids.size(), 1);
    out.push_back(std::move(example));
  }
  return out;
}

std::vector<data::Example> random_sequences(std::span<const tokenizer::TokenId> vocabulary,
                                            std::int64_t samples, std::int64_t length,
                                            std::uint64_t seed) {
  Random random(seed);
  std::vector<data::Example> out(static_cast<std::size_t>(samples));
  for (data::Example& example : out) {
    for (std::int64_t i = 0; i < length; ++i) {
      example.ids.push_back(vocabulary[random.below(vocabulary.size())]);
    }
    example.loss_mask.assign(example.ids.size(), 1);
  }
  return out;
}

}  // namespace qloft::calibrate
