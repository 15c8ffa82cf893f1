#include "qloft/core/side_by_side.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/threads.h"

namespace qloft {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Le;

class SideBySide : public testing::Test {
 protected:
  SideBySide() : before_(thread_count()) { set_thread_count(5); }
  ~SideBySide() override { set_thread_count(before_); }

  const Progress progress_;

 private:
  int before_;
};

TEST_F(SideBySide, DoesEachPieceOnceAndFinishesThemInOrder) {
  for (const int teams : {1, 2, 3, 8}) {
    std::vector<std::atomic<int>> times(20);
    std::vector<std::int64_t> finished;
    side_by_side(
        20, teams, progress_, [&](std::int64_t i) { ++times[static_cast<std::size_t>(i)]; },
        [&](std::int64_t i) {
          EXPECT_EQ(times[static_cast<std::size_t>(i)], 1);
          finished.push_back(i);
        });
    ASSERT_EQ(finished.size(), 20U);
    EXPECT_TRUE(std::is_sorted(finished.begin(), finished.end()));
  }
}

TEST_F(SideBySide, FinishesInTheCallingThreadAlone) {
  const auto caller = std::this_thread::get_id();
  side_by_side(
      6, 2, progress_, [](std::int64_t) {},
      [&](std::int64_t) { EXPECT_EQ(std::this_thread::get_id(), caller); });
}

TEST_F(SideBySide, SharesTheThreadsAmongTheTeams) {
  std::mutex mutex;
  std::set<int> counts;
  std::atomic<int> begun = 0;
  side_by_side(
      2, 2, progress_,
      [&](std::int64_t) {
        for (++begun; begun < 2;) std::this_thread::yield();  // both teams have one
        const std::scoped_lock lock(mutex);
        counts.insert(thread_count());
      },
      [](std::int64_t) {});
  EXPECT_THAT(counts, ElementsAre(2, 3));
  EXPECT_EQ(thread_count(), 5);
}

TEST_F(SideBySide, RunsParallelWorkOfEachTeamToItsEnd) {
  std::vector<std::int64_t> sums;
  std::vector<std::atomic<std::int64_t>> sum(8);
  side_by_side(
      8, 2, progress_,
      [&](std::int64_t i) {
        parallel_for(100, 3, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t k = begin; k < end; ++k) sum[static_cast<std::size_t>(i)] += k;
        });
      },
      [&](std::int64_t i) { sums.push_back(sum[static_cast<std::size_t>(i)]); });
  EXPECT_THAT(sums, Each(4950));
}

TEST_F(SideBySide, ThrowsWhatTheFirstPieceThrewAfterFinishingThoseBeforeIt) {
  for (const int teams : {1, 3}) {
    std::vector<std::int64_t> finished;
    EXPECT_THROW(side_by_side(
                     20, teams, progress_,
                     [](std::int64_t i) {
                       if (i >= 4) throw InputError("bad");
                     },
                     [&](std::int64_t i) { finished.push_back(i); }),
                 InputError);
    EXPECT_THAT(finished, ElementsAre(0, 1, 2, 3));
  }
}

TEST_F(SideBySide, BeginsNothingMoreOnceAFinishHasThrown) {
  std::atomic<int> begun = 0;
  EXPECT_THROW(side_by_side(
                   100, 2, progress_, [&](std::int64_t) { ++begun; },
                   [](std::int64_t) { throw InputError("full"); }),
               InputError);
  EXPECT_THAT(begun.load(), Le(4));
}

TEST_F(SideBySide, EndsWorkWhereTheUserAsksToStop) {
  class Asks : public Progress {
   public:
    bool stop_requested() const override { return stop; }
    bool stop = false;
  };
  for (const int teams : {1, 2}) {
    Asks progress;
    std::vector<std::int64_t> finished;
    EXPECT_THROW(side_by_side(
                     20, teams, progress,
                     [](std::int64_t i) {
                       // Without end but for the stop.
                       do parallel_for(1, 1, [](std::int64_t, std::int64_t) {});
                       while (i > 0);
                     },
                     [&](std::int64_t i) {
                       finished.push_back(i);
                       progress.stop = true;
                     }),
                 Interrupted);
    EXPECT_THAT(finished, ElementsAre(0));
  }
}

TEST_F(SideBySide, HasNothingToDoForNoPieces) {
  side_by_side(
      0, 4, progress_, [](std::int64_t) { FAIL(); }, [](std::int64_t) { FAIL(); });
}

}  // namespace
}  // namespace qloft
