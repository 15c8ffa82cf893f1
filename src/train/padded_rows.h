#pragma once
// Sequences of several lengths as the rows of one input.

#include <cstdint>
#include <span>
#include <vector>

#include "qloft/model.h"
#include "qloft/tokenizer/encoding.h"

namespace qloft::train {

struct TypedIds {
  std::span<const tokenizer::TokenId> ids;
  std::span<const std::int32_t> types;  // as long as ids; where the model knows types
};

// Padded to the longest; padding is in no segment.
model::Input padded_input(const std::vector<TypedIds>& rows, const model::Model& model,
                          model::AdapterId adapter);

}  // namespace qloft::train
