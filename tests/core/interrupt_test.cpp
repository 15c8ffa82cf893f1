#include "qloft/core/interrupt.h"

#include <gtest/gtest.h>

#include "qloft/core/error.h"
#include "qloft/core/threads.h"

namespace qloft {
namespace {

class Stopped : public Progress {
 public:
  bool stop_requested() const override { return true; }
};

void work() {
  parallel_for(1, 1, [](std::int64_t, std::int64_t) {});
}

TEST(Interruptible, EndsParallelWorkWhereTheUserAsksToStop) {
  const Stopped stopped;
  const Interruptible interruptible(stopped);
  EXPECT_THROW(work(), Interrupted);
}

TEST(Interruptible, LeavesWorkOutsideOfItAlone) {
  const Stopped stopped;
  const Progress going;
  { const Interruptible interruptible(stopped); }
  EXPECT_NO_THROW(work());
  const Interruptible outer(stopped);
  const Interruptible inner(going);
  EXPECT_NO_THROW(work());
}

}  // namespace
}  // namespace qloft
