#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <optional>

#include "command.h"
#include "qloft/cli.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/core/threads.h"
#include "terminal_progress.h"

#ifndef QLOFT_VERSION
#error "the build file defines QLOFT_VERSION"
#endif

namespace qloft::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongInput = 2;
constexpr int kInterrupted = 130;

std::vector<Command> commands() {
  return {inspect_command(),  tokenize_command(), calibrate_command(), plan_command(),
          quantize_command(), finetune_command(), evaluate_command(),  generate_command(),
          chat_command(),     merge_command(),    compare_command()};
}

void fail(std::string_view message) {
  fmt::print(stderr, "qloft: {}\n", message);
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
  for (const Command& command : known) names.push_back(command.name);
  const std::string near = nearest_name(word, names);
  return fmt::format("unknown command '{}'{}; `qloft --help` lists the commands", word,
                     near.empty() ? "" : fmt::format(" (did you mean {}?)", near));
}

int run_command(const Runner& runner, const CommonOptions& common) {
  catch_interrupts();
  if (common.threads != 0) set_thread_count(common.threads);
  TerminalProgress progress(progress_style(common.quiet), stderr);
  Context context{common, progress};
  const Json report = runner(context);
  if (common.json) {
    fmt::print("{}\n", report.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  if (std::fflush(stdout) != 0) throw SystemError({"standard output", {}}, "cannot write", errno);
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
    fail(error.what());
    return kInterrupted;
  } catch (const Error& error) {
    fail(error.what());
    return kFailed;
  } catch (const std::bad_alloc&) {
    fail("out of memory");
    return kFailed;
  } catch (const std::exception& error) {
    const std::string_view text = error.what();
    fail(fmt::format("internal error: {}", text.substr(0, text.find('\n'))));
    return kFailed;
  }
}

}  // namespace

void Context::print(const std::string& text) const {
  if (!common.json) fmt::print("{}", text);
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
    bind("--threads", at_most(common.threads, 1024), "threads to use; 0: all processors");
    bind("--json", common.json, "print the report as one JSON object");
    bind("--quiet", common.quiet, "no progress");
  }

  return guarded([&] {
    try {
      app.parse(argc, argv);
    } catch (const CLI::CallForHelp& help) {
      return app.exit(help);
    } catch (const CLI::CallForVersion& version) {
      return app.exit(version);
    } catch (const CLI::ParseError& error) {
      // A mistyped option may be why a needed one is missing: it is named first.
      for (const CLI::App* sub : app.get_subcommands()) {
        if (sub->remaining_size() > 0) throw InputError(describe_extras(app, sub));
      }
      std::string text = error.what();
      throw InputError(text);
    }
    const auto chosen = app.get_subcommands();
    if (chosen.empty()) {
      if (app.remaining_size() > 0) {
        const std::string word = app.remaining().front();
        throw InputError(word.starts_with("-") ? describe_extras(app, nullptr)
                                               : unknown_command(word, known));
      }
      fmt::print("{}", app.help());
      return kWrongInput;
    }
    const CLI::App* sub = chosen.front();
    if (sub->remaining_size() > 0) throw InputError(describe_extras(app, sub));
    if (app.remaining_size() > 0) throw InputError(describe_extras(app, nullptr));
    const auto found = std::find_if(known.begin(), known.end(), [&](const Command& command) {
      return command.name == sub->get_name();
    });
    return run_command(runners[static_cast<std::size_t>(found - known.begin())], common);
  });
}

}  // namespace qloft::cli
