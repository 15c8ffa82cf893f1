#pragma once
#include <cstdint>

#include "qloft/backend/cache.h"

namespace qloft::backend {

void store_torch(const CachedHeads& cache, std::int64_t first, const at::Tensor& x);
at::Tensor read_torch(const CachedHeads& cache, std::int64_t count, at::ScalarType type);

}  // namespace qloft::backend
