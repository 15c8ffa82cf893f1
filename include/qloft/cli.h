#pragma once
// cli: arguments to options, report to terminal or JSON, error to exit status. The only place that
// prints.

namespace qloft::cli {

// The whole program. Exit status: 0 done, 1 failed, 2 wrong usage or wrong input, 130 or 143
// stopped by SIGINT or SIGTERM.
int run(int argc, const char* const* argv);

}  // namespace qloft::cli
