#pragma once
// The operations of a device: one table for the CPU, one by torch's own operators for any other.
// qloft/backend/*.h says what each computes.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "qloft/backend/activation.h"
#include "qloft/backend/attention.h"
#include "qloft/backend/cache.h"
#include "qloft/backend/linear.h"
#include "qloft/backend/norm.h"
#include "qloft/backend/rotate.h"
#include "qloft/backend/statistics.h"
#include "qloft/backend/weight.h"

namespace qloft::backend {

// A weight and, if any, the factors of all rows beside it.
struct AdaptedWeight {
  const Weight* weight;
  const LowRank* factors = nullptr;
};

struct Operations {
  at::Tensor (*multiply_transposed)(const at::Tensor& x, const Weight& weight);
  // x W^T + scale * (x A^T) B^T of each, without gradients.
  std::vector<at::Tensor> (*multiply_adapted)(const at::Tensor& x,
                                              std::span<const AdaptedWeight> weights);
  at::Tensor (*multiply)(const at::Tensor& y, const Weight& weight);
  at::Tensor (*look_up)(const Weight& weight, const at::Tensor& ids, at::ScalarType dtype);
  LowRankOperations low_rank;

  at::Tensor (*rms_norm)(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                         double offset);
  at::Tensor (*layer_norm)(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           double epsilon);
  at::Tensor (*rotate)(const at::Tensor& x, const Rotation& rotation);
  at::Tensor (*activate)(const at::Tensor& x, Activation activation);
  at::Tensor (*gate)(const at::Tensor& gate, const at::Tensor& up, Activation activation);
  at::Tensor (*attention)(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const Visibility& visibility, const Scores& scores);
  at::Tensor (*attention_over_caches)(const at::Tensor& q,
                                      std::span<const CachedSequence> sequences,
                                      std::int64_t window, const Scores& scores);
  void (*store)(const CachedHeads& cache, std::int64_t first, const at::Tensor& x);
  at::Tensor (*read)(const CachedHeads& cache, std::int64_t count, at::ScalarType type);

  void (*add_gram)(const at::Tensor& x, at::Tensor& gram);
  void (*add_products)(const at::Tensor& x, const at::Tensor& y, at::Tensor& sums);
  SquareSums (*squared_products)(const at::Tensor& dy, const at::Tensor& x);
};

extern const Operations kCpuOperations;
extern const Operations kTorchOperations;

inline const Operations& operations_for(const at::Tensor& tensor) {
  return tensor.is_cpu() ? kCpuOperations : kTorchOperations;
}

}  // namespace qloft::backend
