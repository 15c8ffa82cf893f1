#pragma once
#include <cstdint>

#include "qloft/backend/cache.h"
#include "qloft/core/matrix.h"

namespace qloft::backend {

void store_cpu(const CachedHeads& cache, std::int64_t first, const at::Tensor& x);
at::Tensor read_cpu(const CachedHeads& cache, std::int64_t count, at::ScalarType type);

// Positions [first, first + count) of a head as f32 [count, head_dim]: a view into an f32 cache,
// else written to `buffer`. Of codes H x, without the inverse: queries are brought there instead.
MatrixView<const float> read_positions(const CachedHeads& cache, std::int64_t head,
                                       std::int64_t first, std::int64_t count, float* buffer);

}  // namespace qloft::backend
