#pragma once
#include "../operations.h"

namespace qloft::backend {

std::vector<at::Tensor> multiply_adapted_cpu(const at::Tensor& x,
                                             std::span<const AdaptedWeight> weights);
at::Tensor add_low_rank_cpu(at::Tensor& y, const at::Tensor& x, const LowRank& factors);
LowRankOperations::Gradients low_rank_gradients_cpu(const at::Tensor& dy, const at::Tensor& x,
                                                    const at::Tensor& h, const at::Tensor& a,
                                                    const at::Tensor& b, double scale,
                                                    LowRankOperations::Wanted wanted,
                                                    const at::Tensor& dx);

}  // namespace qloft::backend
