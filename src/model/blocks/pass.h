#pragma once
// What all blocks of one forward pass share, and how they use the layout's linear layers.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "../state.h"
#include "qloft/backend/rotate.h"

namespace qloft::model {

// The tokens of a pass that use one adapter.
struct AdapterTokens {
  AdapterId adapter = kNoAdapter;
  at::Tensor tokens;  // int64 [n], of the rows one after the other; undefined: all
};

// The tokens [first, first + count) of a pass, which continue what the cache holds.
struct CachedTokens {
  KeyValueCache::State* cache = nullptr;  // has room for them
  std::int64_t first = 0;
  std::int64_t count = 0;
};

struct Pass {
  const Model::State* state = nullptr;
  std::vector<backend::Rotation> rotations;  // by rope
  at::Tensor segments;                       // as backend::Visibility has them
  std::vector<CachedTokens> cached;          // empty: tokens see each other by rows and segments
  std::uint64_t dropout_seed = 0;            // 0: no dropout
  std::vector<AdapterTokens> adapters;
  at::Tensor adapter_of_token;  // int64 CPU [n]; undefined: all tokens use the same
  // Of an encoder-decoder's decoder: the encoder's pass, and the states that it ended with, [rows,
  // source length, hidden_size].
  std::shared_ptr<const Pass> source;
  at::Tensor encoded;

  const Layout& layout() const { return state->layout; }
};

// Sets which adapter the tokens of each row use, `lengths` of them. `adapters`: one a row, one for
// all, or none. Throws InputError for another number of them, and for an adapter that is not
// attached.
void choose_adapters(Pass& pass, const std::vector<AdapterId>& adapters,
                     const std::vector<std::int64_t>& lengths);
inline std::vector<std::int64_t> equal_rows(std::int64_t rows, std::int64_t length) {
  return std::vector<std::int64_t>(static_cast<std::size_t>(rows), length);
}
// The same pass over some of its tokens only.
Pass over_tokens(const Pass& pass, const at::Tensor& tokens);

// x [..., in] -> [..., out] by the layout's matrix with its bias and the pass's adapters.
at::Tensor apply(const Pass& pass, ParameterId id, const at::Tensor& x);
// The same with another weight and another bias, where those are defined.
at::Tensor apply_with(const Pass& pass, ParameterId id, const at::Tensor& x,
                      const at::Tensor& weight, const at::Tensor& bias);

// The slices of linear layers with the same x: each layer is applied once. [..., rows of a slice]
std::vector<at::Tensor> apply_slices(const Pass& pass,
                                     std::span<const architecture::RowSlice* const> slices,
                                     const at::Tensor& x);

}  // namespace qloft::model
