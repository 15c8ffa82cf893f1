#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <optional>
#include <system_error>

#include "command.h"
#include "output.h"
#include "qloft/cli.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/core/threads.h"
#include "signals.h"
#include "terminal_progress.h"

#ifndef QLOFT_VERSION
#error "the build file defines QLOFT_VERSION"
#endif

namespace qloft::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongInput = 2;

std::vector<Command> commands() {
  return {inspect_command(),  tokenize_command(), calibrate_command(), sensitivity_command(),
          plan_command(),     quantize_command(), recover_command(),   finetune_command(),
          evaluate_command(), generate_command(), chat_command(),      merge_command(),
          compare_command(),  bench_command()};
}

void fail(std::string_view message) {
  print_error(fmt::format("qloft: {}\n", message));
}

std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// What to say of arguments that nothing takes.
std::string describe_extras(const CLI::App& app, const CLI::App* command) {
  const CLI::App& where = command != nullptr ? *command : app;
  for (const std::string& extra : where.remaining(true)) {
    const std::string word = extra.substr(0, extra.find('='));
    if (word.starts_with("-")) {
      const std::string near = nearest_name(word, long_options(where));
      return fmt::format("unknown option {}{}", word,
                         near.empty() ? "" : fmt::format(" (did you mean {}?)", near));
    }
    return fmt::format("unexpected argument '{}'", extra);
  }
  return "unexpected arguments";
}

std::string unknown_command(const std::string& word, const std::vector<Command>& known) {
  std::vector<std::string> names;
  names.reserve(known.size());
  for (const Command& command : known) names.push_back(command.name);
  const std::string near = nearest_name(word, names);
  return fmt::format("unknown command '{}'{}; `qloft --help` lists the commands", word,
                     near.empty() ? "" : fmt::format(" (did you mean {}?)", near));
}

// CLI11 says "NAME: 1 required TYPE missing" or "NAME: At Most 1 required but received 2".
std::string wrong_count(std::string_view text) {
  const std::string name(text.substr(0, text.find(':')));
  return name + (text.ends_with("missing") ? ": expected a value, found none"
                                           : ": expected one value, found several");
}

// Of an allocator's own exception: the size that it was asked for, if it says one.
std::string out_of_memory(std::string_view text) {
  constexpr std::string_view kSize = "allocate ";
  const std::size_t at = text.rfind(kSize);
  if (at == std::string_view::npos) return "out of memory";
  std::string_view size = text.substr(at + kSize.size());
  size = size.substr(0, size.find_first_not_of("0123456789"));
  return size.empty() ? "out of memory"
                      : fmt::format("out of memory: cannot allocate {} bytes", size);
}

bool tells_of_memory(std::string_view text) {
  return text.find("allocate memory") != std::string_view::npos ||
         text.find("out of memory") != std::string_view::npos;
}

int run_command(const Runner& runner, const CommonOptions& common) {
  if (common.threads != 0) set_thread_count(common.threads);
  TerminalProgress progress(progress_style(common.quiet), stderr);
  Context context{common, progress};
  const Json report = runner(context);
  if (common.json) {
    print_out(report.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  flush_out();
  if (!context.stopped.empty()) throw Interrupted({}, context.stopped);
  return 0;
}

// Every exception to one line and an exit status.
int guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const InputError& error) {
    fail(error.what());
    return kWrongInput;
  } catch (const Interrupted& error) {
    let_stop();
    fail(error.what());
    return interrupted_status();
  } catch (const Error& error) {
    fail(error.what());
    return kFailed;
  } catch (const std::bad_alloc&) {
    fail("out of memory");
    return kFailed;
  } catch (const std::filesystem::filesystem_error& error) {
    fail(fmt::format("{}: {}", error.path1().string(), error.code().message()));
    const bool no_name = error.code() == std::errc::filename_too_long ||
                         error.code() == std::errc::too_many_symbolic_link_levels;
    return no_name ? kWrongInput : kFailed;
  } catch (const std::system_error& error) {
    fail(fmt::format("the system refused: {}", error.what()));
    return kFailed;
  } catch (const std::exception& error) {
    const std::string_view text = error.what();
    const std::string_view line = text.substr(0, text.find('\n'));
    fail(tells_of_memory(line) ? out_of_memory(line) : fmt::format("internal error: {}", line));
    return kFailed;
  }
}

}  // namespace

void Context::print(const std::string& text) const {
  if (!common.json) print_out(text);
}

int run(int argc, const char* const* argv) {
  const auto known = commands();
  CLI::App app("Low-bit fine-tuning of language models: W = Q + B A", "qloft");
  app.set_version_flag("--version", "qloft " QLOFT_VERSION);
  app.require_subcommand(0, 1);
  app.footer(
      "Example:\n  qloft quantize Llama-3.2-1B -o q2 --method loftq --bits 2\n\n"
      "`qloft COMMAND --help` shows a command's options.");
  app.allow_extras();

  CommonOptions common;
  std::vector<Runner> runners;
  for (const Command& command : known) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->footer("Example:\n" + command.example);
    sub->allow_extras();
    runners.push_back(command.declare(*sub));
    OptionBinder bind(*sub);
    bind.group("Common options");
    if (sub->get_option_no_throw("--threads") == nullptr) {
      bind("--threads", at_most(common.threads, 1024), "threads to use; 0: all processors");
    }
    bind("--json", common.json, "print the report as one JSON object");
    bind("--quiet", common.quiet, "no progress");
  }

  std::signal(SIGPIPE, SIG_IGN);  // a reader that left is an error of writing
  return guarded([&] {
    try {
      app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      print_out(app.help());
      flush_out();
      return 0;
    } catch (const CLI::CallForVersion& version) {
      print_out(std::string(version.what()) + "\n");
      flush_out();
      return 0;
    } catch (const CLI::ParseError& error) {
      // A mistyped option may be why a needed one is missing: it is named first.
      for (const CLI::App* sub : app.get_subcommands()) {
        if (sub->remaining_size() > 0) throw InputError(describe_extras(app, sub));
      }
      const bool count = dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr;
      throw InputError(count ? wrong_count(error.what()) : error.what());
    }
    const auto chosen = app.get_subcommands();
    if (chosen.empty()) {
      if (app.remaining_size() > 0) {
        const std::string word = app.remaining().front();
        throw InputError(word.starts_with("-") ? describe_extras(app, nullptr)
                                               : unknown_command(word, known));
      }
      print_out(app.help());
      flush_out();
      return kWrongInput;
    }
    const CLI::App* sub = chosen.front();
    if (sub->remaining_size() > 0) throw InputError(describe_extras(app, sub));
    if (app.remaining_size() > 0) throw InputError(describe_extras(app, nullptr));
    const auto found = std::find_if(known.begin(), known.end(), [&](const Command& command) {
      return command.name == sub->get_name();
    });
    handle_signals(found->when_stopped);
    return run_command(runners[static_cast<std::size_t>(found - known.begin())], common);
  });
}

}  // namespace qloft::cli
