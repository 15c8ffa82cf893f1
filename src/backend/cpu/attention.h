#pragma once
#include "qloft/backend/attention.h"

namespace qloft::backend {

at::Tensor attention_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const Visibility& visibility, const Scores& scores);
at::Tensor attention_over_caches_cpu(const at::Tensor& q, std::span<const CachedSequence> sequences,
                                     std::int64_t window, const Scores& scores);

}  // namespace qloft::backend
