#pragma once
#include <ATen/core/Tensor.h>

namespace qloft::model {

// Which tokens see each other: those of the same segment, which is not negative. segments int64
// [rows, length] -> bool [rows, 1, length, length]; undefined: all do.
at::Tensor seen_by_segments(const at::Tensor& segments, at::Device device);

}  // namespace qloft::model
