#pragma once
// The two ends of the stack of blocks.
#include "pass.h"

namespace qloft::model {

// Throws InputError for an id that the model does not have.
void check_ids(const at::Tensor& ids, const Layout& layout);

// All int64 [rows, length]. types: where the model has an embedding of them.
struct TokenPlaces {
  at::Tensor ids, positions, types;
};

// Embeddings of ids and, where there are such, of positions and types: [rows, length, hidden_size].
at::Tensor embed(const Pass& pass, const architecture::Embedding& embedding,
                 const TokenPlaces& places);

// What the output matrix, or a head, is applied to: the last norm of x [..., hidden_size] and,
// where the model has them, a projection and the layers of a head of masked tokens.
at::Tensor finish(const Pass& pass, const at::Tensor& x);

}  // namespace qloft::model
