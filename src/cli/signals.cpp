#include "signals.h"

#include <signal.h>  // sigaction: <csignal> promises signal() alone
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "qloft/core/interrupt.h"
#include "qloft/io/mapping.h"

namespace qloft::cli {
namespace {

constexpr long kGraceNanoseconds = 700'000'000;
constexpr long kNextLookNanoseconds = 50'000'000;

std::atomic<int> stop_signal{0};
std::atomic<bool> stops_itself{false};
static_assert(std::atomic<int>::is_always_lock_free, "set in a signal handler");

timer_t timer;
bool has_timer = false;
const char* line_when_stopped = "";

// In signal handlers only what POSIX lists as safe there may be called: no allocation, no stdio.
void write_text(const char* text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
}

void look_again_in(long nanoseconds) {
  const itimerspec when = {{0, 0}, {0, nanoseconds}};
  if (has_timer) ::timer_settime(timer, 0, &when, nullptr);
}

void on_stop(int signal) {
  stop_signal = signal;
  ::signal(signal, SIG_DFL);
  look_again_in(kGraceNanoseconds);
}

void on_timer(int) {
  if (stops_itself) return;
  if (Keeping::now()) return look_again_in(kNextLookNanoseconds);
  write_text("qloft: ");
  write_text(line_when_stopped);
  write_text("\n");
  ::_exit(interrupted_status());
}

void on_bus_error(int signal, siginfo_t* info, void*) {
  const char* file = io::mapped_file_at(info->si_addr);
  if (file == nullptr) {
    ::signal(signal, SIG_DFL);
    return;  // the same access ends the process
  }
  write_text("qloft: ");
  write_text(file);
  write_text(": cannot be read: it was cut while it was in use\n");
  ::_exit(1);
}

void on(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void handle_signals(const char* when_stopped) {
  line_when_stopped = when_stopped;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGALRM;
  has_timer = ::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
  on(SIGALRM, on_timer);
  on(SIGINT, on_stop);
  on(SIGTERM, on_stop);
  on(SIGPIPE, SIG_IGN);
  on(SIGXFSZ, SIG_IGN);
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

bool stop_requested() {
  return stop_signal != 0;
}

int interrupted_status() {
  return 128 + (stop_signal != 0 ? stop_signal.load() : SIGINT);
}

void let_stop() {
  stops_itself = true;
}

}  // namespace qloft::cli
