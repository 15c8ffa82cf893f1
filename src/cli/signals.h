#pragma once
// What the program does about signals.

namespace qloft::cli {

// From now on
// - SIGINT and SIGTERM make stop_requested() true. What has not stopped soon after, and is not
//   keeping what it has done (qloft/core/interrupt.h), is ended with the line `when_stopped`. A
//   second signal ends the process at once.
// - a write to a closed pipe or past the limit on a file's size fails as other writes do;
// - a mapped file that is cut while it is read ends the process with a line that names it.
// `when_stopped` must live as long as the process.
void handle_signals(const char* when_stopped);

bool stop_requested();
// 130 or 143 after SIGINT or SIGTERM.
int interrupted_status();
// The program is stopping by itself.
void let_stop();

}  // namespace qloft::cli
