#pragma once
// Elapsed time, as reports and flushes count it.

#include <chrono>

namespace qloft::pipeline {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Finished work is made safe at most this often: flushing a file takes longer than a small matrix.
inline constexpr double kSecondsBetweenFlushes = 1.0;

}  // namespace qloft::pipeline
