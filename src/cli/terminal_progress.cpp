#include "terminal_progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "qloft/core/interrupt.h"
#include "signals.h"

namespace qloft::cli {
namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(10);
constexpr int kBarWidth = 24;

// What cannot be shown is dropped.
void show(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

// The first `columns` columns of a UTF-8 line, one column a code point.
std::string cut(const std::string& line, std::size_t columns) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool begins_code_point = (static_cast<unsigned char>(line[i]) & 0xc0) != 0x80;
    if (begins_code_point && used++ == columns) return line.substr(0, i);
  }
  return line;
}

}  // namespace

std::size_t terminal_width(std::FILE* stream) {
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

bool shows_colours(std::FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(::fileno(stream)) == 1 && (no_colour == nullptr || *no_colour == '\0') &&
         terminal != nullptr && std::string_view(terminal) != "dumb";
}

ProgressStyle progress_style(bool quiet) {
  if (quiet) return ProgressStyle::quiet;
  return ::isatty(STDERR_FILENO) ? ProgressStyle::bar : ProgressStyle::lines;
}

std::string short_number(double value) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  const double size = std::abs(value);
  const int decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 || size == 0 ? 2 : 3;
  return fmt::format("{:.{}f}{}", value, decimals, kUnits[unit]);
}

std::string clock_time(double seconds) {
  const auto total = static_cast<std::int64_t>(std::ceil(std::max(0.0, seconds)));
  if (total >= 3600) {
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  }
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

TerminalProgress::TerminalProgress(ProgressStyle style, std::FILE* stream)
    : style_(style), stream_(stream) {}

TerminalProgress::~TerminalProgress() {
  clear_bar();
}

void TerminalProgress::begin(std::string_view stage, std::uint64_t total, std::string_view unit) {
  output_is_whole(false);
  if (active_) end();
  stage_ = stage;
  unit_ = unit;
  note_.clear();
  total_ = total;
  done_ = first_done_ = 0;
  active_ = true;
  has_update_ = false;
  start_ = last_draw_ = Clock::now();
  if (style_ == ProgressStyle::bar) draw(false);
}

void TerminalProgress::update(std::uint64_t done, std::string_view note) {
  if (!active_) return;
  if (!has_update_ && done > 1) first_done_ = done - 1;
  has_update_ = true;
  done_ = done;
  note_ = note;
  const auto interval = style_ == ProgressStyle::bar
                            ? std::chrono::duration_cast<Clock::duration>(kBarInterval)
                            : std::chrono::duration_cast<Clock::duration>(kLineInterval);
  if (Clock::now() - last_draw_ >= interval) draw(false);
}

void TerminalProgress::end() {
  if (!active_) return;
  draw(true);
  active_ = false;
}

std::string TerminalProgress::status(bool finished) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_ - first_done_) / seconds : 0;
  std::string text = fmt::format("{:<11}", stage_);
  if (total_ > 0 && style_ == ProgressStyle::bar) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    const int filled = static_cast<int>(share * kBarWidth);
    text += fmt::format(" [{}{}]", std::string(static_cast<std::size_t>(filled), '#'),
                        std::string(static_cast<std::size_t>(kBarWidth - filled), '.'));
  }
  text += total_ > 0 ? fmt::format(" {}/{} {}", done_, total_, unit_)
                     : fmt::format(" {} {}", done_, unit_);
  if (rate > 0) text += fmt::format("  {}/s", short_number(rate));
  if (finished) {
    text += fmt::format("  in {}", clock_time(seconds));
  } else if (total_ > done_ && rate > 0) {
    text += fmt::format("  {} left", clock_time(static_cast<double>(total_ - done_) / rate));
  }
  if (!note_.empty()) text += "  " + note_;
  return text;
}

void TerminalProgress::draw(bool finished) {
  last_draw_ = Clock::now();
  if (style_ == ProgressStyle::quiet) return;
  const std::string text = status(finished);
  if (style_ == ProgressStyle::lines) {
    show(stream_, text + "\n");
  } else {
    const std::string line = "\r\033[K" + cut(text, terminal_width(stream_) - 1);
    show(stream_, finished ? line + "\n" : line);
    bar_on_screen_ = !finished;
  }
}

void TerminalProgress::clear_bar() {
  if (!bar_on_screen_) return;
  show(stream_, "\r\033[K");
  bar_on_screen_ = false;
}

void TerminalProgress::print_line(std::string_view line) {
  clear_bar();
  show(stream_, std::string(line) + "\n");
  if (active_ && style_ == ProgressStyle::bar) draw(false);
}

void TerminalProgress::note(std::string_view message) {
  if (style_ != ProgressStyle::quiet) print_line(message);
}

void TerminalProgress::warn(std::string_view message) {
  print_line("warning: " + std::string(message));
}

bool TerminalProgress::stop_requested() const {
  return cli::stop_requested();
}

}  // namespace qloft::cli
