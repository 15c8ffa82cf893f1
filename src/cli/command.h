#pragma once
// A command of the program: its words in --help, its options, and what it does.

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "options.h"
#include "qloft/core/progress.h"

namespace qloft::cli {

// What every command accepts.
struct CommonOptions {
  int threads = 0;  // 0: all processors
  bool json = false;
  bool quiet = false;
};

struct Context {
  CommonOptions common;
  Progress& progress;
  // Where a command was stopped and has still something to report: what is said after the report.
  std::string stopped = {};
  // Prints to standard output unless --json asked for the report alone.
  void print(const std::string& text) const;
};

// Runs the command; the value is what --json prints.
using Runner = std::function<Json(Context&)>;

struct Command {
  std::string name;
  std::string summary;
  std::string example;  // whole command lines, shown at the foot of --help
  // Declares the options and returns what runs with them.
  std::function<Runner(CLI::App&)> declare;
  // What is said where it had to be ended, since it did not stop by itself.
  const char* when_stopped = "stopped";
};

inline constexpr const char* kGoesOn =
    "stopped; what was finished is kept, and the same command goes on from there";

Command inspect_command();
Command tokenize_command();
Command calibrate_command();
Command plan_command();
Command quantize_command();
Command recover_command();
Command sensitivity_command();
Command finetune_command();
Command evaluate_command();
Command generate_command();
Command chat_command();
Command merge_command();
Command compare_command();
Command bench_command();

}  // namespace qloft::cli
