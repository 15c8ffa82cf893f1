#pragma once
// Progress on standard error: a bar with rate and time left on a terminal, plain lines otherwise.

#include <chrono>
#include <cstdio>
#include <string>

#include "qloft/core/progress.h"

namespace qloft::cli {

enum class ProgressStyle { bar, lines, quiet };

// bar where standard error is a terminal, else lines; quiet if asked.
ProgressStyle progress_style(bool quiet);

// Columns of the terminal that `stream` goes to; 80 where it is none.
std::size_t terminal_width(std::FILE* stream);
// Whether colours may be sent there: a terminal that is not dumb, and NO_COLOR not set.
bool shows_colours(std::FILE* stream);

// "12.3k", "4.05", "0.512": three significant digits.
std::string short_number(double value);
// "0:07", "12:34", "3:25:00".
std::string clock_time(double seconds);

class TerminalProgress : public Progress {
 public:
  TerminalProgress(ProgressStyle style, std::FILE* stream);
  ~TerminalProgress() override;

  void begin(std::string_view stage, std::uint64_t total, std::string_view unit) override;
  void update(std::uint64_t done, std::string_view note) override;
  void end() override;
  void note(std::string_view message) override;
  void warn(std::string_view message) override;
  bool stop_requested() const override;

 private:
  using Clock = std::chrono::steady_clock;
  std::string status(bool finished) const;
  void draw(bool finished);
  void clear_bar();
  void print_line(std::string_view line);

  ProgressStyle style_;
  std::FILE* stream_;
  std::string stage_;
  std::string unit_;
  std::string note_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t first_done_ = 0;  // what an earlier run had finished: no part of the rate
  bool active_ = false;
  bool has_update_ = false;
  bool bar_on_screen_ = false;
  Clock::time_point start_;
  Clock::time_point last_draw_;
};

}  // namespace qloft::cli
