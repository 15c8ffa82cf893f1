#include "../../src/cli/signals.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "../../src/cli/input_lines.h"
#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"
#include "qloft/io.h"

namespace qloft::cli {
namespace {

class Asks : public Progress {
 public:
  bool stop_requested() const override { return stop; }
  bool stop = false;
};

[[noreturn]] void work_for_ever() {
  for (;;) ::pause();
}

TEST(SignalsDeathTest, WorkThatDoesNotStopByItselfIsEndedWithALine) {
  const struct {
    int signal;
    int status;
  } cases[] = {{SIGINT, 130}, {SIGTERM, 143}};
  for (const auto& c : cases) {
    EXPECT_EXIT(
        {
          handle_signals("stopped; nothing was kept");
          std::raise(c.signal);
          work_for_ever();
        },
        ::testing::ExitedWithCode(c.status), "^qloft: stopped; nothing was kept\n$");
  }
}

TEST(SignalsDeathTest, WhatIsBeingKeptIsWaitedFor) {
  EXPECT_EXIT(
      {
        handle_signals("ended");
        {
          const Keeping keeping;
          std::raise(SIGINT);
          std::this_thread::sleep_for(std::chrono::milliseconds(1000));
          const auto written = ::write(STDERR_FILENO, "kept, ", 6);
          if (written != 6) ::_exit(1);
        }
        work_for_ever();
      },
      ::testing::ExitedWithCode(130), "^kept, qloft: ended\n$");
}

TEST(SignalsDeathTest, ACommandWhoseOutputIsWholeEndsByItself) {
  EXPECT_EXIT(
      {
        handle_signals("ended");
        output_is_whole(true);
        std::raise(SIGINT);
        std::this_thread::sleep_for(std::chrono::milliseconds(1000));
        ::_exit(0);
      },
      ::testing::ExitedWithCode(0), "^$");
}

TEST(SignalsDeathTest, ASecondSignalEndsTheProcessAtOnce) {
  EXPECT_EXIT(
      {
        handle_signals("ended");
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "^$");
}

TEST(SignalsDeathTest, AMappedFileThatIsCutIsNamed) {
  const auto path =
      std::filesystem::temp_directory_path() / ("qloft-cut-" + std::to_string(::getpid()));
  std::ofstream(path) << std::string(100000, 'x');
  EXPECT_EXIT(
      {
        handle_signals("ended");
        const io::MappedFile file(path);
        std::filesystem::resize_file(path, 10);
        const volatile auto byte = file.bytes()[90000];
        ::_exit(byte == std::byte{} ? 3 : 4);
      },
      ::testing::ExitedWithCode(1), "^qloft: .*qloft-cut-.*: cannot be read: it was cut");
  std::filesystem::remove(path);
}

TEST(InputLines, EndWhereTheUserAsksToStop) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "one\ntw", 6), 6);
  Asks progress;
  InputLines lines(ends[0]);
  std::string line;
  EXPECT_TRUE(lines.next(line, progress));
  EXPECT_EQ(line, "one");
  progress.stop = true;
  EXPECT_FALSE(lines.next(line, progress));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(InputLines, GiveALastLineWithoutItsEnd) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "\ntwo", 4), 4);
  ::close(ends[1]);
  const Asks progress;
  InputLines lines(ends[0]);
  std::string line;
  EXPECT_TRUE(lines.next(line, progress));
  EXPECT_EQ(line, "");
  EXPECT_TRUE(lines.next(line, progress));
  EXPECT_EQ(line, "two");
  EXPECT_FALSE(lines.next(line, progress));
  ::close(ends[0]);
}

TEST(InputLines, RefuseALineWithoutEnd) {
  const int zeros = ::open("/dev/zero", O_RDONLY);
  ASSERT_GE(zeros, 0);
  const Asks progress;
  InputLines lines(zeros);
  std::string line;
  EXPECT_THROW(lines.next(line, progress), InputError);
  ::close(zeros);
}

}  // namespace
}  // namespace qloft::cli
