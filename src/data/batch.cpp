#include <algorithm>
#include <numeric>
#include <utility>

#include "qloft/core/checked.h"
#include "qloft/core/error.h"
#include "qloft/data.h"

namespace qloft::data {
namespace {

std::int64_t length_of(const Example& example) {
  return static_cast<std::int64_t>(example.ids.size());
}

Batch empty_batch(std::int64_t rows, std::int64_t length, tokenizer::TokenId pad) {
  const auto size = static_cast<std::size_t>(checked_multiply(rows, length, "batch"));
  Batch batch;
  batch.rows = rows;
  batch.length = length;
  batch.ids.assign(size, pad);
  batch.loss_mask.assign(size, 0);
  batch.positions.assign(size, 0);
  batch.segments.assign(size, -1);
  return batch;
}

// `at`: the first column in row `row`.
void put(Batch& batch, std::int64_t row, std::int64_t at, std::int32_t segment,
         const Example& example) {
  const auto base = static_cast<std::size_t>(row * batch.length + at);
  for (std::size_t i = 0; i < example.ids.size(); ++i) {
    batch.ids[base + i] = example.ids[i];
    batch.loss_mask[base + i] = i > 0 && example.loss_mask[i] != 0;
    batch.positions[base + i] = static_cast<std::int32_t>(i);
    batch.segments[base + i] = segment;
  }
}

void require_rows(std::int64_t rows) {
  if (rows < 1) throw InputError({{}, "batch"}, "expected at least one row");
}

void require_fit(std::int64_t size, std::int64_t length) {
  if (size <= length) return;
  throw InputError({{}, "length"}, "an example of " + std::to_string(size) +
                                       " ids does not fit rows of " + std::to_string(length));
}

// Longest first; equal lengths keep their order, so that batches do not depend on the sort.
std::vector<std::size_t> by_falling_length(std::span<const Example> examples) {
  std::vector<std::size_t> order(examples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return examples[a].ids.size() > examples[b].ids.size();
  });
  return order;
}

// The free space of every row, in a tree of maxima: the first row that has room is found in
// logarithmic time.
class FreeSpace {
 public:
  FreeSpace(std::size_t count, std::int64_t length) {
    while (leaves_ < count) leaves_ *= 2;
    room_.assign(2 * leaves_, length);
  }

  // The first row with room for `size`, which shrinks by it.
  std::size_t take(std::int64_t size) {
    std::size_t node = 1;
    while (node < leaves_) node = room_[2 * node] >= size ? 2 * node : 2 * node + 1;
    const std::size_t row = node - leaves_;
    room_[node] -= size;
    while (node /= 2) room_[node] = std::max(room_[2 * node], room_[2 * node + 1]);
    return row;
  }

 private:
  std::size_t leaves_ = 1;
  std::vector<std::int64_t> room_;
};

}  // namespace

std::int64_t Batch::tokens() const {
  return std::count_if(segments.begin(), segments.end(), [](std::int32_t s) { return s >= 0; });
}

std::int64_t Batch::predictions() const {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < loss_mask.size(); ++i) count += loss_mask[i] != 0 && positions[i] > 0;
  return count;
}

Batch make_padded_batch(std::span<const Example> examples, tokenizer::TokenId pad) {
  std::int64_t length = 0;
  for (const Example& example : examples) length = std::max(length, length_of(example));
  Batch batch = empty_batch(static_cast<std::int64_t>(examples.size()), length, pad);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    put(batch, static_cast<std::int64_t>(i), 0, 0, examples[i]);
  }
  return batch;
}

std::vector<Batch> make_padded_batches(std::span<const Example> examples, std::int64_t rows,
                                       tokenizer::TokenId pad) {
  require_rows(rows);
  const std::vector<std::size_t> order = by_falling_length(examples);
  std::vector<Batch> batches;
  for (std::size_t begin = 0; begin < order.size();) {
    const std::size_t end = begin + std::min(static_cast<std::size_t>(rows), order.size() - begin);
    Batch& batch = batches.emplace_back(empty_batch(static_cast<std::int64_t>(end - begin),
                                                    length_of(examples[order[begin]]), pad));
    for (std::size_t i = begin; i < end; ++i) {
      put(batch, static_cast<std::int64_t>(i - begin), 0, 0, examples[order[i]]);
    }
    begin = end;
  }
  return batches;
}

Batch make_packed_batch(std::span<const Example> examples, std::int64_t length,
                        tokenizer::TokenId pad) {
  if (length < 1) throw InputError({{}, "length"}, "expected at least one position");
  std::vector<std::pair<std::int64_t, std::int64_t>> places;  // row and column
  std::int64_t row = 0, used = 0;
  for (const Example& example : examples) {
    const std::int64_t size = length_of(example);
    require_fit(size, length);
    if (used + size > length) {
      ++row;
      used = 0;
    }
    places.emplace_back(row, used);
    used += size;
  }
  Batch batch = empty_batch(examples.empty() ? 0 : row + 1, length, pad);
  std::int32_t segment = 0;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (places[i].second == 0) segment = 0;
    put(batch, places[i].first, places[i].second, segment, examples[i]);
    if (!examples[i].ids.empty()) ++segment;
  }
  return batch;
}

std::vector<Batch> make_packed_batches(std::span<const Example> examples, std::int64_t length,
                                       std::int64_t rows, tokenizer::TokenId pad) {
  require_rows(rows);
  if (length < 1) throw InputError({{}, "length"}, "expected at least one position");
  FreeSpace room(examples.size(), length);
  std::vector<std::vector<std::size_t>> packed;
  for (const std::size_t i : by_falling_length(examples)) {
    const std::int64_t size = length_of(examples[i]);
    require_fit(size, length);
    if (size == 0) continue;
    const std::size_t row = room.take(size);
    if (row >= packed.size()) packed.resize(row + 1);
    packed[row].push_back(i);
  }
  std::vector<Batch> batches;
  for (std::size_t begin = 0; begin < packed.size();) {
    const std::size_t end = begin + std::min(static_cast<std::size_t>(rows), packed.size() - begin);
    Batch& batch =
        batches.emplace_back(empty_batch(static_cast<std::int64_t>(end - begin), length, pad));
    for (std::size_t row = begin; row < end; ++row) {
      std::int64_t at = 0;
      std::int32_t segment = 0;
      for (const std::size_t i : packed[row]) {
        put(batch, static_cast<std::int64_t>(row - begin), at, segment++, examples[i]);
        at += length_of(examples[i]);
      }
    }
    begin = end;
  }
  return batches;
}

}  // namespace qloft::data
