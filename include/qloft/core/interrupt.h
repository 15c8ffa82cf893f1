#pragma once
// Stopping when the user asks, for work that looks at Progress::stop_requested() too seldom.

#include "qloft/core/progress.h"

namespace qloft {

// While one lives, every parallel_for that its thread begins first looks at
// progress.stop_requested() and throws Interrupted where it holds. For work that may be left in the
// middle. The innermost one counts.
class Interruptible {
 public:
  explicit Interruptible(const Progress& progress);
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  const Progress* outer_;
};

// Throws Interrupted where an Interruptible of this thread says so.
void expect_not_interrupted();

// While one lives in any thread, the process is keeping what it has done: a program that ends what
// does not stop by itself waits for it.
class Keeping {
 public:
  Keeping();
  ~Keeping();
  Keeping(const Keeping&) = delete;
  Keeping& operator=(const Keeping&) = delete;
  // Also where nothing but the end is left. May be called in a signal handler.
  static bool now();
};

// The output is being put in its place: only the end is left, unless more work begins.
void output_is_whole(bool whole);

}  // namespace qloft
