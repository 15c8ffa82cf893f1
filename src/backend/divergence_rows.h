#pragma once
// The loss of summed_divergence() row by row: on the CPU, and its twin by torch's operators, where
// the logits are.

#include "qloft/backend/divergence.h"

namespace qloft::backend {

// Both write the loss of each row of `logits`, f32 [n, vocabulary], and turn the row into its
// gradient. Teacher's rows and targets: contiguous.
void divergence_of_rows(at::Tensor& logits, const TeacherRows& teacher, const at::Tensor& targets,
                        double next_token_weight, double* losses);
void divergence_of_rows_by_torch(at::Tensor& logits, const TeacherRows& teacher,
                                 const at::Tensor& targets, double next_token_weight,
                                 double* losses);

}  // namespace qloft::backend
