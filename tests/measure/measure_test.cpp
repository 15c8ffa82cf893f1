#include "qloft/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <functional>

#include "qloft/core/error.h"
#include "qloft/core/memory.h"
#include "small_llama.h"

namespace qloft::measure {
namespace {

using ::testing::Each;
using ::testing::SizeIs;

// Counts what it is told, and asks to stop after `most` repetitions.
class Repetitions : public Progress {
 public:
  explicit Repetitions(std::uint64_t most = 1000) : most_(most) {}
  void update(std::uint64_t count, std::string_view) override { done = count; }
  bool stop_requested() const override { return done >= most_; }
  std::uint64_t done = 0;

 private:
  std::uint64_t most_;
};

model::Model small_model() {
  return model::Model::random(test::small_llama(), {}, 1);
}

model::AdapterId attach_adapter(model::Model& model, bool train) {
  adapter::Adapter adapter;
  adapter.config.rank = 2;
  for (const architecture::ParameterId id : architecture::linear_layers(model.layout())) {
    const architecture::Parameter& layer = model.layout().parameter(id);
    adapter.modules[layer.module()] = {Matrix(2, layer.columns()), Matrix(layer.rows(), 2)};
  }
  return model.attach("a", adapter, train);
}

TEST(Measure, EveryKindOfWorkGivesASpeedForEachRepetition) {
  model::Model model = small_model();
  const model::AdapterId adapter = attach_adapter(model, true);
  const Repeat repeat{.times = 3, .warm_up = true};
  const std::function<Measured(Progress&)> works[] = {
      [&](Progress& p) {
        return prompt(model, adapter, {8, 0}, repeat, p);
      },
      [&](Progress& p) {
        return prompt(model, adapter, {8, 5}, repeat, p);
      },
      [&](Progress& p) {
        return decode(model, adapter, {4, 0}, repeat, p);
      },
      [&](Progress& p) {
        return decode(model, adapter, {4, 5}, repeat, p);
      },
      [&](Progress& p) {
        return train(model, adapter, {2, 8, false}, repeat, p);
      },
      [&](Progress& p) {
        return train(model, adapter, {1, 8, true}, repeat, p);
      }};
  for (const auto& work : works) {
    Repetitions progress;
    const Measured measured = work(progress);
    EXPECT_THAT(measured.tokens_per_second, SizeIs(3));
    EXPECT_THAT(measured.tokens_per_second, Each(::testing::Gt(0)));
    EXPECT_TRUE(std::isfinite(measured.mean));
    EXPECT_TRUE(measured.deviation.has_value());
    EXPECT_EQ(progress.done, 3u);
  }
}

TEST(Measure, MeanAndDeviationAreOfTheSpeeds) {
  const Measured three = rate_of(12, {1, 2, 4});  // 12, 6 and 3 tokens/s
  EXPECT_DOUBLE_EQ(three.mean, 7);
  EXPECT_DOUBLE_EQ(three.deviation.value(), std::sqrt(21.0));
  EXPECT_FALSE(rate_of(12, {1}).deviation.has_value());
}

TEST(Measure, WorkEndsBetweenTwoRepetitionsWhereItIsAskedTo) {
  model::Model model = small_model();
  Repetitions progress(2);
  EXPECT_THROW(decode(model, model::kNoAdapter, {1, 0}, {.times = 1000}, progress), Interrupted);
  EXPECT_EQ(progress.done, 2u);
}

// 64 MB are in use between the first two and gone before the third.
TEST(Measure, AnEarlierPeakIsNoPartOfALaterOne) {
  model::Model model = small_model();
  Progress silent;
  const auto peak = [&] {
    return prompt(model, model::kNoAdapter, {4, 0}, {.times = 1}, silent).peak_memory;
  };
  constexpr std::size_t kBytes = 64 << 20;
  if (!reset_peak_resident_bytes()) {
    EXPECT_FALSE(peak()) << "the system does not count peaks anew";
    return;
  }
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::uint64_t with = peak().value();
  ::munmap(memory, kBytes);
  EXPECT_LT(peak().value() + kBytes / 2, with);
}

TEST(Measure, TheProcessorHasAName) {
  EXPECT_FALSE(processor_name().empty());
}

}  // namespace
}  // namespace qloft::measure
