#pragma once
// Every call of this process that changes a file below one folder is a point: making, writing,
// sizing, flushing, renaming and removing. What they are counted by stands in points.cpp, which
// takes the place of the C library's calls.

#include <string>

namespace qloft::test {

enum class Failure {
  none,
  killed,    // the process ends before the call
  torn,      // it ends after half of what a write had to write; else before the call
  no_space,  // from this point on no call gets room: ENOSPC
  io_error,  // this call fails: EIO
};

// From now on, with the `at`-th point (from 1) failing so. `count` is of memory that outlives the
// process.
void watch(const std::string& folder, long at, Failure failure, long* count);

}  // namespace qloft::test
