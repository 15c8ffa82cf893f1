#include "qloft/data/omissions.h"

#include <algorithm>

namespace qloft::data {
namespace {

std::string sentence(std::int64_t count, std::int64_t examples, const std::string& what,
                     const ErrorLocation& first) {
  return std::to_string(count) + " of " + std::to_string(examples) + " examples " + what +
         "; the first is " + first.file.string() + ", " + first.field;
}

}  // namespace

bool has_prediction(const Example& example) {
  return example.loss_mask.size() > 1 &&
         std::any_of(example.loss_mask.begin() + 1, example.loss_mask.end(),
                     [](std::uint8_t counts) { return counts != 0; });
}

void Omissions::add(const DataSet& data, std::int64_t index, const Example& example) {
  ++examples;
  if (example.truncated) {
    ++truncated;
    dropped_ids += example.dropped;
    if (!first_truncated) first_truncated = data.location(index);
  }
  if (!has_prediction(example)) {
    ++left_out;
    if (!first_left_out) first_left_out = data.location(index);
  } else if (example.endless) {
    ++endless;
    if (!first_endless) first_endless = data.location(index);
  }
}

std::vector<std::string> Omissions::notes() const {
  std::vector<std::string> out;
  if (first_truncated) {
    out.push_back(sentence(truncated, examples,
                           "were truncated to the greatest length, " + std::to_string(dropped_ids) +
                               " tokens were cut off",
                           *first_truncated));
  }
  if (first_left_out) {
    out.push_back(sentence(left_out, examples, "have no token that counts and were left out",
                           *first_left_out));
  }
  if (first_endless) {
    out.push_back(
        sentence(endless, examples,
                 "have no end token behind what is learned (neither the chat template nor "
                 "eos_token gives one), so that a model tuned on them would not stop",
                 *first_endless));
  }
  return out;
}

}  // namespace qloft::data
