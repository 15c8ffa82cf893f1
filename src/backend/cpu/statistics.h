#pragma once
#include "qloft/backend/statistics.h"

namespace qloft::backend {

// The operations that qloft/backend/statistics.h describes.
void add_gram_cpu(const at::Tensor& x, at::Tensor& gram);
SquareSums squared_products_cpu(const at::Tensor& dy, const at::Tensor& x);

}  // namespace qloft::backend
