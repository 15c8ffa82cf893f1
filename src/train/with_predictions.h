#pragma once
// Sequences that are learned by something else than their own tokens.

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "qloft/data.h"

namespace qloft::train {

// As many predictions count as are made of the sequence, whatever its length; the first token is
// none.
inline data::Example with_predictions(std::vector<tokenizer::TokenId> ids, std::size_t count) {
  data::Example out;
  out.loss_mask.assign(ids.size(), 0);
  for (std::size_t i = 1; i < std::min(count + 1, ids.size()); ++i) out.loss_mask[i] = 1;
  out.ids = std::move(ids);
  return out;
}

}  // namespace qloft::train
