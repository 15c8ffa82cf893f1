#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "divergence_rows.h"
#include "qloft/backend/tensor.h"
#include "qloft/core.h"
#include "qloft/kernels/dense.h"
#include "summed_loss.h"

namespace qloft::backend {
using at::Tensor;

namespace {

// Below, what is left of a row is what its f32 probabilities were rounded by.
constexpr double kLeastRest = 1e-6;

// One row of the loss: what the teacher says of it, and the id that came.
struct TeacherRow {
  const std::int32_t* ids;
  const float* log_probabilities;
  std::int64_t count;
  std::int64_t target;
};

double rest_of(const TeacherRow& row, std::int64_t vocabulary) {
  double sum = 0;
  for (std::int64_t k = 0; k < row.count; ++k) {
    sum += std::exp(static_cast<double>(row.log_probabilities[k]));
  }
  return row.count == vocabulary || 1 - sum < kLeastRest ? 0 : 1 - sum;
}

// With u = 1 - w: the gradient is q_k - u p_k at the teacher's ids and (1 - u p_r / q_r) q_j at the
// others, less w at the target.
double loss_of_row(float* logits, std::int64_t vocabulary, const TeacherRow& row, double w) {
  const kernels::DenseTable& dense = kernels::dense_table();
  const float largest = dense.largest(logits, vocabulary);
  const float target = logits[row.target];
  std::vector<float> known(static_cast<std::size_t>(row.count));
  for (std::int64_t k = 0; k < row.count; ++k) {
    known[static_cast<std::size_t>(k)] = logits[row.ids[k]] - largest;
    logits[row.ids[k]] = -std::numeric_limits<float>::infinity();
  }
  const bool whole = row.count == vocabulary;
  const float others = whole ? 0 : dense.exponentials(logits, vocabulary, largest);
  double sum = others;
  for (const float logit : known) sum += std::exp(static_cast<double>(logit));

  const double u = 1 - w, p_rest = rest_of(row, vocabulary);
  const double log_sum = std::log(sum);
  // A student that gives the rest nothing is held to the least that f32 tells from nothing.
  const double q_rest = std::max<double>(others, std::numeric_limits<float>::min()) / sum;
  double loss = w > 0 ? w * (log_sum + static_cast<double>(largest) - target) : 0;
  if (p_rest > 0) loss += u * p_rest * std::log(p_rest / q_rest);
  const auto scale = static_cast<float>((1 - u * p_rest / q_rest) / sum);
  for (std::int64_t j = 0; !whole && j < vocabulary; ++j) logits[j] *= scale;
  for (std::int64_t k = 0; k < row.count; ++k) {
    const double logit = known[static_cast<std::size_t>(k)];
    const double log_p = row.log_probabilities[k], p = std::exp(log_p);
    if (p > 0) loss += u * p * (log_p - logit + log_sum);
    logits[row.ids[k]] = static_cast<float>(std::exp(logit - log_sum) - u * p);
  }
  if (w > 0) logits[row.target] -= static_cast<float>(w);
  return loss;
}

}  // namespace

TeacherRows greatest_of(const Tensor& logits, std::int64_t count) {
  const Tensor plain = as_f32(logits).cpu();
  const MatrixView<float> rows = matrix_of(plain);
  TeacherRows out{at::empty({rows.rows, count}, at::kInt), at::empty({rows.rows, count})};
  const kernels::DenseTable& dense = kernels::dense_table();
  parallel_for(rows.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    using Entry = std::pair<float, std::int32_t>;
    const auto before = [](const Entry& a, const Entry& b) {
      return a.first > b.first || (a.first == b.first && a.second < b.second);
    };
    std::vector<Entry> heap;  // the least of the greatest in front
    std::vector<float> copy;
    for (std::int64_t i = begin; i < end; ++i) {
      const float* row = rows.row(i);
      heap.clear();
      for (std::int64_t j = 0; j < rows.columns; ++j) {
        const Entry entry{row[j], static_cast<std::int32_t>(j)};
        if (std::ssize(heap) < count) {
          heap.push_back(entry);
          std::push_heap(heap.begin(), heap.end(), before);
        } else if (row[j] > heap.front().first) {
          std::pop_heap(heap.begin(), heap.end(), before);
          heap.back() = entry;
          std::push_heap(heap.begin(), heap.end(), before);
        }
      }
      std::sort_heap(heap.begin(), heap.end(), before);
      const float largest = dense.largest(row, rows.columns);
      copy.assign(row, row + rows.columns);
      const float sum = dense.exponentials(copy.data(), rows.columns, largest);
      const double normalizer = std::log(static_cast<double>(sum)) + largest;
      for (std::int64_t k = 0; k < count; ++k) {
        const auto& [logit, id] = heap[static_cast<std::size_t>(k)];
        out.ids.data_ptr<std::int32_t>()[i * count + k] = id;
        out.log_probabilities.data_ptr<float>()[i * count + k] =
            static_cast<float>(logit - normalizer);
      }
    }
  });
  return out;
}

void divergence_of_rows(Tensor& logits, const TeacherRows& teacher, const Tensor& targets,
                        double next_token_weight, double* losses) {
  const MatrixView<float> rows = matrix_of(logits);
  const std::int64_t count = teacher.ids.size(1);
  const auto* ids = teacher.ids.data_ptr<std::int32_t>();
  const auto* logs = teacher.log_probabilities.data_ptr<float>();
  const auto* wanted = targets.data_ptr<std::int64_t>();
  parallel_for(rows.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      losses[i] =
          loss_of_row(rows.row(i), rows.columns,
                      {ids + i * count, logs + i * count, count, wanted[i]}, next_token_weight);
    }
  });
}

void divergence_of_rows_by_torch(Tensor& logits, const TeacherRows& teacher, const Tensor& targets,
                                 double next_token_weight, double* losses) {
  const double w = next_token_weight, u = 1 - w;
  const std::int64_t vocabulary = logits.size(1);
  const Tensor ids = teacher.ids.to(logits.device(), at::kLong);
  const Tensor index = targets.to(logits.device()).unsqueeze(1);
  const Tensor log_p = teacher.log_probabilities.to(logits.device(), at::kDouble);
  const Tensor p = log_p.exp();
  Tensor p_rest = 1 - p.sum(1, true);
  p_rest.masked_fill_(p_rest.lt(kLeastRest), 0);
  if (ids.size(1) == vocabulary) p_rest.zero_();
  const Tensor log_q = at::log_softmax(logits, 1);
  const Tensor q = log_q.exp();
  const Tensor least = q.new_full({}, std::numeric_limits<float>::min());
  const Tensor q_rest =
      q.scatter(1, ids, 0).sum(1, true).maximum(least).to(at::kDouble);  // of no known id
  const Tensor of_rest = at::where(p_rest > 0, p_rest * (p_rest / q_rest).log(), p_rest);
  const Tensor of_known = at::where(p > 0, p * (log_p - log_q.gather(1, ids)), p).sum(1, true);
  const Tensor each = (u * (of_known + of_rest) - w * log_q.gather(1, index)).to(at::kCPU);
  std::copy_n(each.contiguous().data_ptr<double>(), each.numel(), losses);
  logits.copy_(q * (1 - u * p_rest / q_rest));
  logits.scatter_(1, ids, q.gather(1, ids) - (u * p).to(at::kFloat));
  logits.scatter_add_(1, index, at::zeros_like(index, at::kFloat).sub_(w));
}

Tensor summed_divergence(const Tensor& hidden, const Weight& weight, const LogitsRule& rule,
                         const TeacherRows& teacher, const Tensor& targets,
                         double next_token_weight) {
  const TeacherRows all = {teacher.ids.contiguous(), teacher.log_probabilities.contiguous()};
  return summed_loss(hidden, weight, rule, [&](Tensor& logits, std::int64_t first, double* losses) {
    const std::int64_t n = logits.size(0);
    const TeacherRows rows = {all.ids.narrow(0, first, n),
                              all.log_probabilities.narrow(0, first, n)};
    const auto loss = logits.is_cpu() ? divergence_of_rows : divergence_of_rows_by_torch;
    loss(logits, rows, targets.narrow(0, first, n), next_token_weight, losses);
  });
}

}  // namespace qloft::backend
