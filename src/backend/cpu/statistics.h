#pragma once
#include "qloft/backend/statistics.h"

namespace qloft::backend {

// The operations that qloft/backend/statistics.h describes.
void add_gram_cpu(const at::Tensor& x, at::Tensor& gram);
void add_products_cpu(const at::Tensor& x, const at::Tensor& y, at::Tensor& sums);
SquareSums squared_products_cpu(const at::Tensor& dy, const at::Tensor& x);

}  // namespace qloft::backend
