#include "../../src/train/order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace qloft::train {
namespace {

std::vector<std::int32_t> ragged_lengths(std::size_t count) {
  std::vector<std::int32_t> lengths(count);
  for (std::size_t i = 0; i < count; ++i) lengths[i] = static_cast<std::int32_t>(2 + i * 37 % 61);
  return lengths;
}

std::vector<std::int64_t> epoch_of(Order& order, std::int64_t epoch) {
  std::vector<std::int64_t> examples;
  const std::int64_t steps = order.steps_per_epoch();
  for (std::int64_t step = epoch * steps; step < (epoch + 1) * steps; ++step) {
    for (const MicroBatch& batch : order.step(step)) {
      examples.insert(examples.end(), batch.begin(), batch.end());
    }
  }
  return examples;
}

Options options_of(data::Batching batching, std::int64_t batch, std::int64_t accumulate) {
  Options options;
  options.batching = batching;
  options.batch = batch;
  options.accumulate = accumulate;
  options.length = 64;
  options.seed = 5;
  return options;
}

class EveryBatching : public ::testing::TestWithParam<data::Batching> {};
INSTANTIATE_TEST_SUITE_P(, EveryBatching,
                         ::testing::Values(data::Batching::padded, data::Batching::packed));

TEST_P(EveryBatching, AnEpochReadsEveryExampleOnce) {
  Order order(ragged_lengths(301), options_of(GetParam(), 4, 3));
  std::vector<std::int64_t> all(301);
  std::iota(all.begin(), all.end(), 0);
  for (const std::int64_t epoch : {0, 1}) {
    EXPECT_THAT(epoch_of(order, epoch), ::testing::UnorderedElementsAreArray(all));
  }
}

TEST_P(EveryBatching, EpochsDifferAndSeedsDiffer) {
  Options options = options_of(GetParam(), 4, 1);
  Order order(ragged_lengths(301), options);
  const auto first = epoch_of(order, 0);
  EXPECT_NE(first, epoch_of(order, 1));
  options.seed = 6;
  Order other(ragged_lengths(301), options);
  EXPECT_NE(first, epoch_of(other, 0));
}

TEST_P(EveryBatching, AStepIsTheSameHoweverItIsReached) {
  Order forward(ragged_lengths(301), options_of(GetParam(), 4, 2));
  const std::int64_t step = forward.steps_per_epoch() + 3;
  for (std::int64_t i = 0; i < step; ++i) forward.step(i);
  Order direct(ragged_lengths(301), options_of(GetParam(), 4, 2));
  EXPECT_EQ(forward.step(step), direct.step(step));
}

TEST(Order, PaddedBatchesHoldSimilarLengths) {
  const auto lengths = ragged_lengths(512);
  Order order(lengths, options_of(data::Batching::padded, 8, 1));
  std::int64_t padded = 0, tokens = 0;
  for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) {
    for (const MicroBatch& batch : order.step(step)) {
      std::int64_t longest = 0;
      for (const std::int64_t example : batch) {
        const std::int64_t length = lengths[static_cast<std::size_t>(example)];
        longest = std::max(longest, length);
        tokens += length;
      }
      padded += longest * static_cast<std::int64_t>(batch.size());
    }
  }
  EXPECT_LT(static_cast<double>(padded), 1.1 * static_cast<double>(tokens));
}

TEST(Order, TheLastStepOfAnEpochMayBeShort) {
  Order order(ragged_lengths(10), options_of(data::Batching::padded, 4, 2));
  ASSERT_EQ(order.steps_per_epoch(), 2);
  EXPECT_EQ(order.step(0).size(), 2u);
  EXPECT_EQ(order.step(1).size(), 1u);
}

TEST(Order, APackedStepFitsTheRowsThatItStandsFor) {
  // More examples than are packed at a time: rows of several such windows lie in one micro-batch.
  const auto lengths = ragged_lengths(5000);
  Order order(lengths, options_of(data::Batching::packed, 4, 1));
  for (std::int64_t step = 0; step < order.steps_per_epoch(); ++step) {
    for (const MicroBatch& places : order.step(step)) {
      std::vector<data::Example> examples;
      for (const std::int64_t place : places) {
        const auto length = static_cast<std::size_t>(lengths[static_cast<std::size_t>(place)]);
        examples.push_back(
            {std::vector<tokenizer::TokenId>(length, 1), std::vector<std::uint8_t>(length, 1)});
      }
      ASSERT_LE(data::make_packed_batch(examples, 64, 0).rows, 4);
    }
  }
}

TEST(FirstFitRows, FillsTheFirstRowThatHasRoom) {
  const std::vector<std::int32_t> lengths = {5, 9, 1, 4, 6};
  EXPECT_THAT(first_fit_rows({0, 1, 2, 3, 4}, lengths, 10),
              ::testing::ElementsAre(MicroBatch{1, 2}, MicroBatch{4, 3}, MicroBatch{0}));
}

}  // namespace
}  // namespace qloft::train
