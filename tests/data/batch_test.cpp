// Batches: what stands where, and that nothing is lost.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "qloft/core/error.h"
#include "qloft/core/random.h"
#include "qloft/data.h"

namespace qloft::data {
namespace {

constexpr tokenizer::TokenId kPad = 99;

// ids first, first + 1, ...; the first `prompt` are not in the loss.
Example example(tokenizer::TokenId first, std::size_t length, std::size_t prompt = 0) {
  Example result;
  for (std::size_t i = 0; i < length; ++i) {
    result.ids.push_back(first + static_cast<tokenizer::TokenId>(i));
    result.loss_mask.push_back(i >= prompt);
  }
  return result;
}

// Every invariant that the header of the module states.
void expect_whole(const Batch& batch) {
  const auto size = static_cast<std::size_t>(batch.rows * batch.length);
  ASSERT_EQ(batch.ids.size(), size);
  ASSERT_EQ(batch.loss_mask.size(), size);
  ASSERT_EQ(batch.positions.size(), size);
  ASSERT_EQ(batch.segments.size(), size);
  for (std::int64_t row = 0; row < batch.rows; ++row) {
    std::int32_t last = -1;
    for (std::int64_t column = 0; column < batch.length; ++column) {
      const auto at = static_cast<std::size_t>(row * batch.length + column);
      const std::int32_t segment = batch.segments[at];
      if (segment < 0) {
        EXPECT_EQ(batch.ids[at], kPad);
        EXPECT_EQ(batch.loss_mask[at], 0);
        EXPECT_EQ(batch.positions[at], 0);
        continue;
      }
      const bool begins = column == 0 || batch.segments[at - 1] != segment;
      EXPECT_EQ(batch.positions[at], begins ? 0 : batch.positions[at - 1] + 1);
      if (begins) {
        EXPECT_EQ(segment, last + 1);
        EXPECT_EQ(batch.loss_mask[at], 0);
      }
      last = segment;
    }
  }
}

std::vector<Example> ragged_examples(std::size_t count, std::uint64_t longest) {
  Random random(7);
  std::vector<Example> examples;
  for (std::size_t i = 0; i < count; ++i) {
    const auto length = static_cast<std::size_t>(random.below(longest + 1));
    examples.push_back(
        example(static_cast<tokenizer::TokenId>(1000 * (i + 1)), length, length / 3));
  }
  return examples;
}

// How often each id stands in the batches, padding left out.
std::map<tokenizer::TokenId, int> id_counts(const std::vector<Batch>& batches) {
  std::map<tokenizer::TokenId, int> counts;
  for (const Batch& batch : batches) {
    for (std::size_t i = 0; i < batch.ids.size(); ++i) {
      if (batch.segments[i] >= 0) ++counts[batch.ids[i]];
    }
  }
  return counts;
}

std::map<tokenizer::TokenId, int> id_counts(const std::vector<Example>& examples) {
  std::map<tokenizer::TokenId, int> counts;
  for (const Example& one : examples) {
    for (const tokenizer::TokenId id : one.ids) ++counts[id];
  }
  return counts;
}

std::int64_t predictions(const std::vector<Example>& examples) {
  std::int64_t count = 0;
  for (const Example& one : examples) {
    for (std::size_t i = 1; i < one.loss_mask.size(); ++i) count += one.loss_mask[i];
  }
  return count;
}

std::int64_t predictions_in(const std::vector<Batch>& batches) {
  std::int64_t count = 0;
  for (const Batch& batch : batches) count += batch.predictions();
  return count;
}

TEST(Batch, PadsShorterExamplesAtTheirEnd) {
  const std::vector<Example> examples = {example(10, 3, 1), example(20, 1)};
  const Batch batch = make_padded_batch(examples, kPad);
  expect_whole(batch);
  EXPECT_EQ(batch.rows, 2);
  EXPECT_EQ(batch.length, 3);
  EXPECT_EQ(batch.ids, (std::vector<tokenizer::TokenId>{10, 11, 12, 20, kPad, kPad}));
  EXPECT_EQ(batch.loss_mask, (std::vector<std::uint8_t>{0, 1, 1, 0, 0, 0}));
  EXPECT_EQ(batch.segments, (std::vector<std::int32_t>{0, 0, 0, 0, -1, -1}));
  EXPECT_EQ(batch.tokens(), 4);
  EXPECT_EQ(batch.predictions(), 2);
}

TEST(Batch, OfNoExamplesIsEmpty) {
  EXPECT_EQ(make_padded_batch({}, kPad).tokens(), 0);
  EXPECT_TRUE(make_padded_batches({}, 4, kPad).empty());
  EXPECT_TRUE(make_packed_batches({}, 8, 4, kPad).empty());
}

TEST(Batch, GroupsExamplesOfSimilarLength) {
  const std::vector<Example> examples = {example(10, 1), example(20, 5), example(30, 2),
                                         example(40, 4), example(50, 2)};
  const std::vector<Batch> batches = make_padded_batches(examples, 2, kPad);
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[0].ids,
            (std::vector<tokenizer::TokenId>{20, 21, 22, 23, 24, 40, 41, 42, 43, kPad}));
  EXPECT_EQ(batches[1].ids, (std::vector<tokenizer::TokenId>{30, 31, 50, 51}));
  EXPECT_EQ(batches[2].ids, (std::vector<tokenizer::TokenId>{10}));
}

TEST(Batch, PaddedBatchesLoseNothing) {
  const std::vector<Example> examples = ragged_examples(53, 20);
  const std::vector<Batch> batches = make_padded_batches(examples, 8, kPad);
  ASSERT_EQ(batches.size(), 7u);
  for (const Batch& batch : batches) expect_whole(batch);
  EXPECT_EQ(id_counts(batches), id_counts(examples));
  EXPECT_EQ(predictions_in(batches), predictions(examples));
}

TEST(Batch, PacksTheLongestFirstIntoTheFirstRowWithRoom) {
  const std::vector<Example> examples = {example(10, 2), example(20, 5), example(30, 3),
                                         example(40, 1)};
  const std::vector<Batch> batches = make_packed_batches(examples, 6, 2, kPad);
  ASSERT_EQ(batches.size(), 1u);
  const Batch& batch = batches.front();
  expect_whole(batch);
  EXPECT_EQ(batch.ids,
            (std::vector<tokenizer::TokenId>{20, 21, 22, 23, 24, 40, 30, 31, 32, 10, 11, kPad}));
  EXPECT_EQ(batch.positions, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 0, 0, 1, 2, 0, 1, 0}));
  EXPECT_EQ(batch.segments, (std::vector<std::int32_t>{0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, -1}));
  EXPECT_EQ(batch.tokens(), 11);
  EXPECT_EQ(batch.predictions(), 7);
}

TEST(Batch, PackedBatchesLoseNothing) {
  const std::vector<Example> examples = ragged_examples(101, 33);
  const std::vector<Batch> batches = make_packed_batches(examples, 33, 4, kPad);
  for (const Batch& batch : batches) {
    expect_whole(batch);
    EXPECT_EQ(batch.length, 33);
  }
  for (std::size_t i = 0; i + 1 < batches.size(); ++i) EXPECT_EQ(batches[i].rows, 4);
  EXPECT_EQ(id_counts(batches), id_counts(examples));
  EXPECT_EQ(predictions_in(batches), predictions(examples));
}

TEST(Batch, PackingFillsRowsWell) {
  const std::vector<Example> examples = ragged_examples(400, 60);
  std::int64_t used = 0, space = 0;
  for (const Batch& batch : make_packed_batches(examples, 128, 4, kPad)) {
    used += batch.tokens();
    space += batch.rows * batch.length;
  }
  EXPECT_GT(static_cast<double>(used), 0.95 * static_cast<double>(space));
}

TEST(Batch, RefusesAnExampleThatFitsNoRow) {
  const std::vector<Example> examples = {example(10, 9)};
  EXPECT_THROW(make_packed_batches(examples, 8, 1, kPad), InputError);
}

TEST(Batch, RefusesImpossibleShapes) {
  const std::vector<Example> examples = {example(10, 2)};
  EXPECT_THROW(make_packed_batches(examples, 0, 1, kPad), InputError);
  EXPECT_THROW(make_packed_batches(examples, 8, 0, kPad), InputError);
  EXPECT_THROW(make_padded_batches(examples, 0, kPad), InputError);
}

// First-fit decreasing over rows of two windows together may need more rows than they were.
TEST(MakePackedBatch, NeedsNoMoreRowsThanTheExamplesWereLaidInto) {
  std::vector<Example> examples;
  for (const std::size_t length : {6, 2, 2, 5, 3, 2}) examples.push_back(example(1, length));
  ASSERT_EQ(make_packed_batches(examples, 10, 2, kPad).size(), 2u);
  const Batch batch = make_packed_batch(examples, 10, kPad);
  EXPECT_EQ(batch.rows, 2);
  EXPECT_EQ(batch.tokens(), 20);
  EXPECT_EQ(batch.segments[9], 2);
  EXPECT_EQ(batch.segments[10], 0);
}

}  // namespace
}  // namespace qloft::data
