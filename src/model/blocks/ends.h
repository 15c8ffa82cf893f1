#pragma once
// The two ends of the stack of blocks.
#include "pass.h"

namespace qloft::model {

// Throws InputError for an id that the model does not have.
void check_ids(const at::Tensor& ids, const Layout& layout);

// Embeddings of ids and, where the model has learned ones, of positions, both int64 [rows, length]:
// [rows, length, hidden_size].
at::Tensor embed(const Pass& pass, const at::Tensor& ids, const at::Tensor& positions);

// What the output matrix is applied to: the last norm of x [..., hidden_size] and, where the model
// has one, a projection.
at::Tensor finish(const Pass& pass, const at::Tensor& x);

}  // namespace qloft::model
