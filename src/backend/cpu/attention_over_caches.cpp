#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <vector>

#include "attention.h"
#include "attention_bf16.h"
#include "attention_blocks.h"
#include "bf16_blocks.h"
#include "cache.h"
#include "qloft/core.h"
#include "qloft/kernels/dense.h"
#include "scratch.h"

namespace qloft::backend {
namespace {

using at::Tensor;

// The queries of a sequence with its cache.
struct CachedQueries {
  const CachedSequence& sequence;
  Tensor q, out;  // [1, count, heads, head_dim]

  std::int64_t filled() const { return sequence.past + sequence.count; }
  std::int64_t heads() const { return q.size(2); }
  std::int64_t key_value_heads() const { return sequence.keys.heads(); }
  std::int64_t group() const { return heads() / key_value_heads(); }
};

// Positions that are read at once: as f32 they and the queries leave room in the first cache.
std::int64_t positions_at_once(std::int64_t head_dim) {
  constexpr std::int64_t kFloats = 4096;
  return std::max<std::int64_t>(4, kFloats / head_dim);
}

// `body(first, positions)` over the positions of a range, each of which is read once.
template <typename Body>
void for_positions(const CachedHeads& cache, std::int64_t head, const KeyRange& range, Scratch slot,
                   const Body& body) {
  const std::int64_t at_once = positions_at_once(cache.head_dim());
  float* buffer =
      cache.type() == StoredType::f32 ? nullptr : scratch(slot, at_once * cache.head_dim());
  for (std::int64_t first = range.begin; first < range.end; first += at_once) {
    const std::int64_t count = std::min(at_once, range.end - first);
    body(first - range.begin, read_positions(cache, head, first, count, buffer));
  }
}

// Few queries of the query heads [begin, end), which share one head of keys and values.
void attend_few(const CachedQueries& all, std::int64_t window, const Scores& rule,
                std::int64_t begin, std::int64_t end) {
  const kernels::DenseTable& dense = kernels::dense_table();
  const CachedSequence& s = all.sequence;
  const std::int64_t count = s.count, dim = all.q.size(3), rows = (end - begin) * count;
  const std::int64_t shared = begin / all.group();
  const Visibility visibility{window, {}};
  const KeyRange range = visible_keys(visibility, 0, s.past, 0, count, all.filled());
  const std::int64_t seen = range.end - range.begin;
  const MatrixView<float> scores(scratch(Scratch::scores, rows * seen), rows, seen);
  const MatrixView<float> results(scratch(Scratch::output, rows * dim), rows, dim);

  const MatrixView<float> queries(scratch(Scratch::activations, rows * dim), rows, dim);
  for (std::int64_t head = begin; head < end; ++head) {
    const auto own = read_head(all.q, 0, head, count, false, Scratch::query);
    for (std::int64_t i = 0; i < count; ++i) {
      std::copy_n(own.row(i), dim, queries.row((head - begin) * count + i));
    }
  }
  // q . k = (H q / n) . (H k), and sums of values are turned back once.
  if (s.keys.type() == StoredType::int8) dense.inverse_hadamard(queries.data, rows, dim);
  for_positions(s.keys, shared, range, Scratch::key,
                [&](std::int64_t first, MatrixView<const float> keys) {
                  for (std::int64_t i = 0; i < rows; ++i) {
                    dense.rows_dot_f32(keys.data, keys.stride, keys.rows, queries.row(i), 1, dim,
                                       scores.row(i) + first);
                  }
                });
  for (std::int64_t head = begin; head < end; ++head) {
    const auto own = scores.block((head - begin) * count, 0, count, seen);
    for (std::int64_t i = 0; i < own.size(); ++i) own.data[i] *= rule.scale;
    finish_scores(rule, head, s.past, range, own);
    mask(visibility, 0, s.past, 0, range, all.filled(), own);
    for (std::int64_t i = 0; i < count; ++i) softmax(own.row(i), seen);
  }
  std::fill_n(results.data, results.size(), 0.f);
  for_positions(s.values, shared, range, Scratch::value,
                [&](std::int64_t first, MatrixView<const float> values) {
                  for (std::int64_t i = 0; i < rows; ++i) {
                    dense.add_weighted_rows(values.data, values.stride, values.rows,
                                            scores.row(i) + first, dim, results.row(i));
                  }
                });
  if (s.values.type() == StoredType::int8) dense.inverse_hadamard(results.data, rows, dim);
  for (std::int64_t head = begin; head < end; ++head) {
    write_head(all.out, 0, head, 0, results.block((head - begin) * count, 0, count, dim));
  }
}

// The heads of a group are parted where there are fewer groups than threads.
void attend_few(const std::vector<CachedQueries>& sequences, std::int64_t window,
                const Scores& rule) {
  struct Task {
    const CachedQueries* queries;
    std::int64_t begin, end;
  };
  std::int64_t groups = 0;
  for (const CachedQueries& one : sequences) groups += one.key_value_heads();
  if (groups == 0) return;
  const std::int64_t wanted = ceil_divide<std::int64_t>(thread_count(), groups);
  std::vector<Task> tasks;
  for (const CachedQueries& one : sequences) {
    const std::int64_t group = one.group(), parts = std::min(group, wanted);
    for (std::int64_t first = 0; first < one.heads(); first += group) {
      for (std::int64_t part = 0; part < parts; ++part) {
        tasks.push_back({&one, first + group * part / parts, first + group * (part + 1) / parts});
      }
    }
  }
  parallel_for(std::ssize(tasks), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Task& task = tasks[static_cast<std::size_t>(i)];
      attend_few(*task.queries, window, rule, task.begin, task.end);
    }
  });
}

// What the filled positions of a sequence hold, [1, key_value_heads, positions, head_dim].
struct ReadHeads {
  ReadHeads(const CachedQueries& queries, at::ScalarType type)
      : keys(read_cpu(queries.sequence.keys, queries.filled(), type)),
        values(read_cpu(queries.sequence.values, queries.filled(), type)) {}
  Tensor keys, values;
};

std::vector<ReadHeads> read_all(const std::vector<CachedQueries>& sequences, at::ScalarType type) {
  std::vector<ReadHeads> read;
  read.reserve(sequences.size());
  for (const CachedQueries& one : sequences) read.emplace_back(one, type);
  return read;
}

void attend_many_in_f32(const std::vector<CachedQueries>& sequences, std::int64_t window,
                        const Scores& rule) {
  if (sequences.empty()) return;
  const Visibility visibility{window, {}};
  const std::vector<ReadHeads> read = read_all(sequences, at::kFloat);
  const std::int64_t heads = sequences.front().heads();
  parallel_for(std::ssize(sequences) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto which = static_cast<std::size_t>(i / heads);
      const CachedQueries& one = sequences[which];
      const std::int64_t head = i % heads, shared = head / one.group(), filled = one.filled();
      attend_in_f32(one.q, read_head(read[which].keys, 0, shared, filled, true, Scratch::key),
                    read_head(read[which].values, 0, shared, filled, true, Scratch::value), 0, head,
                    one.sequence.past, visibility, rule, one.out, nullptr);
    }
  });
}

void attend_many_in_bf16(const std::vector<CachedQueries>& sequences, std::int64_t window,
                         const Scores& rule) {
  const Visibility visibility{window, {}};
  const std::vector<ReadHeads> read = read_all(sequences, at::kBFloat16);
  std::vector<AttentionInBf16> rows;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const CachedQueries& one = sequences[i];
    rows.push_back({one.q, read[i].keys, read[i].values, true, 0, one.sequence.past, visibility,
                    rule, one.out, nullptr});
  }
  run_in_bf16(rows);
}

}  // namespace

Tensor attention_over_caches_cpu(const Tensor& q, std::span<const CachedSequence> sequences,
                                 std::int64_t window, const Scores& scores) {
  const bool in_bf16 = q.scalar_type() == at::kBFloat16 && has_block_units();
  return attention_over_caches_by(in_bf16 ? Products::bf16 : Products::f32, q, sequences, window,
                                  scores);
}

Tensor attention_over_caches_by(Products products, const Tensor& q_in,
                                std::span<const CachedSequence> sequences, std::int64_t window,
                                const Scores& given) {
  const Tensor q = q_in.contiguous();
  Scores scores = given;
  if (scores.bias.defined()) scores.bias = scores.bias.contiguous();
  Tensor out = at::empty_like(q);
  std::vector<CachedQueries> few, many_in_f32, many_in_bf16;
  for (const CachedSequence& one : sequences) {
    const bool in_bf16 = products == Products::bf16 && one.keys.type() != StoredType::f32;
    auto& same = one.count <= kFewQueries ? few : in_bf16 ? many_in_bf16 : many_in_f32;
    same.push_back({one, q.narrow(1, one.first, one.count), out.narrow(1, one.first, one.count)});
  }
  attend_many_in_bf16(many_in_bf16, window, scores);
  attend_many_in_f32(many_in_f32, window, scores);
  attend_few(few, window, scores);
  return out;
}

}  // namespace qloft::backend
