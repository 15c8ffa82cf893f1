#pragma once
// Progress that stops a stage, or keeps what it is told.

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/progress.h"

namespace qloft::test {

// Asks to stop once `at` units of a stage are done whose name begins with `stage`; 0: as it begins.
struct StopIn : Progress {
  StopIn(std::string stage_, std::uint64_t at_) : stage(std::move(stage_)), at(at_) {}
  void begin(std::string_view begun, std::uint64_t, std::string_view) override {
    inside = begun.starts_with(stage);
    if (at == 0) update(0, {});
  }
  void update(std::uint64_t done, std::string_view) override {
    stop = stop || (inside && done >= at);
  }
  bool stop_requested() const override { return stop; }
  std::string stage;
  std::uint64_t at;
  bool inside = false;
  bool stop = false;
};

struct StopAtOnce : Progress {
  bool stop_requested() const override { return true; }
};

// A line each.
struct Said : Progress {
  void warn(std::string_view message) override { warnings += std::string(message) + "\n"; }
  void note(std::string_view message) override { notes += std::string(message) + "\n"; }
  std::string warnings, notes;
};

// A run that is stopped in `stage` leaves no output, and goes on when it is started again.
template <class Options, class Run>
void stop_and_go_on(Options options, const char* stage, Run&& run) {
  StopIn stopping(stage, 3);
  EXPECT_THROW(run(options, stopping), Interrupted) << stage;
  EXPECT_FALSE(std::filesystem::exists(options.output)) << stage;
  options.train.resume = true;
  Progress silent;
  run(options, silent);
}

}  // namespace qloft::test
