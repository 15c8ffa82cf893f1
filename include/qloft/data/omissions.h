#pragma once
// What was cut short, left out, or has no end, while examples were read: counted, with the first of
// each, so that a run says so before it begins.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qloft/data.h"

namespace qloft::data {

// False where no prediction of the example counts: nothing is in the loss, or truncation left only
// the prompt.
bool has_prediction(const Example& example);

struct Omissions {
  std::int64_t examples = 0;
  std::int64_t truncated = 0;
  std::int64_t dropped_ids = 0;  // of the truncated ones
  std::int64_t left_out = 0;     // without a prediction that counts
  std::int64_t endless = 0;      // of the others, those that a model learns no end from
  std::optional<ErrorLocation> first_truncated, first_left_out, first_endless;

  void add(const DataSet& data, std::int64_t index, const Example& example);
  // A sentence for each kind that there is.
  std::vector<std::string> notes() const;
};

}  // namespace qloft::data
