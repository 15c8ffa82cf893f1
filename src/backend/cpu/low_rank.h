#pragma once
#include "qloft/backend/linear.h"

namespace qloft::backend {

at::Tensor add_low_rank_cpu(at::Tensor& y, const at::Tensor& x, const at::Tensor& a,
                            const at::Tensor& b, double scale);
LowRankOperations::Gradients low_rank_gradients_cpu(const at::Tensor& dy, const at::Tensor& x,
                                                    const at::Tensor& h, const at::Tensor& a,
                                                    const at::Tensor& b, double scale,
                                                    LowRankOperations::Wanted wanted,
                                                    const at::Tensor& dx);

}  // namespace qloft::backend
