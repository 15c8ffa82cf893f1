#pragma once
// What the forward and the backward pass of attention share: heads as strided matrices, and the
// range of keys that a block of queries sees.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "qloft/backend/attention.h"
#include "qloft/backend/tensor.h"
#include "qloft/core/matrix.h"
#include "scratch.h"

namespace qloft::backend {

// Queries whose scores are held at once.
inline constexpr std::int64_t kQueryBlock = 64;

// Queries that matrix-vector kernels take: decoding.
inline constexpr std::int64_t kFewQueries = 4;

// One head of one row as an f32 matrix [positions, head_dim]: a view into an f32 tensor, else
// converted into `buffer` (a slot of scratch memory).
MatrixView<const float> read_head(const at::Tensor& tensor, std::int64_t row, std::int64_t head,
                                  std::int64_t positions, bool head_first, Scratch buffer);

// Keys [begin, end) that hold all that the queries [first, first + count) of `row` see; `partial`:
// within it some pairs are hidden besides those of the causal diagonal. `keys`: all there are.
struct KeyRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool partial = false;
};
KeyRange visible_keys(const Visibility& visibility, std::int64_t row, std::int64_t past,
                      std::int64_t first, std::int64_t count, std::int64_t keys);

// Sets the scores that are hidden to minus infinity, and those of a range that goes beyond `count`
// keys. scores [count, end - begin].
void mask(const Visibility& visibility, std::int64_t row, std::int64_t past, std::int64_t first,
          const KeyRange& keys, std::int64_t count, MatrixView<float> scores);

// Rows [first, first + values.rows) of a head of `out` [rows, length, heads, head_dim].
void write_head(const at::Tensor& out, std::int64_t row, std::int64_t head, std::int64_t first,
                MatrixView<const float> values);

// Scores with cap, slope and bias from products of queries and keys; row 0 is the query `first`,
// column 0 the key keys.begin. With a cap its derivatives go to `cap_slopes`, where that is not
// null.
void finish_scores(const Scores& rule, std::int64_t head, std::int64_t first, const KeyRange& keys,
                   MatrixView<float> scores, float* cap_slopes = nullptr);
// Adds the gradients of scores up by distance: sums [2 reach - 1], as Scores::bias has them.
void add_by_distance(MatrixView<const float> gradient, std::int64_t first, const KeyRange& keys,
                     std::int64_t reach, float* sums);
// Nothing without a cap.
void apply_cap_slopes(const Scores& rule, const float* slopes, MatrixView<float> gradient);

// Scores become probabilities; returns log(sum(exp(score))), minus infinity where nothing is seen.
float softmax(float* scores, std::int64_t count);

// Of one query: scores p / scale become probabilities, and dp, the gradient of the probabilities,
// that of the scores. `dot`: the query's result times its gradient.
void to_score_gradients(float* p, float* dp, std::int64_t count, float scale, float log_sum,
                        float dot);

}  // namespace qloft::backend
