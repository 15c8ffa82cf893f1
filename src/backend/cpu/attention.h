#pragma once
#include "qloft/backend/attention.h"

namespace qloft::backend {

at::Tensor attention_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const Visibility& visibility, const Scores& scores);
at::Tensor attention_over_cache_cpu(const at::Tensor& q, const at::Tensor& keys,
                                    const at::Tensor& values, std::int64_t past,
                                    const Visibility& visibility, const Scores& scores);

}  // namespace qloft::backend
