#pragma once
// What a task's file needs to become a row: its options are a struct with visit_options, declared
// as all options are (qloft/core/options.h).

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/options.h"
#include "qloft/evaluate/task.h"

namespace qloft::evaluate {

// The same option in several tasks has the same words.
inline constexpr const char* kLimitHelp =
    "windows, examples, problems or questions (of each subject) at most; 0: all";
// Sequences that one pass or one engine takes, and positions of one.
inline constexpr std::int64_t kMostBatch = 1 << 16;
inline constexpr std::int64_t kMostTokens = 1 << 20;
inline constexpr const char* kBatchHelp = "examples at once";
inline constexpr const char* kLengthHelp =
    "tokens of an example (of summarization: of a document) at most; 0: 384 of squad, 1024 of "
    "summarization, else 128";
inline constexpr const char* kPredictionsHelp =
    "write what the model answered (JSON Lines; of squad an object of ids and texts)";

// `asked`, where that is 0 the task's own, and not more than the model's positions.
inline std::int64_t length_of(std::int64_t asked, std::int64_t own,
                              const architecture::Layout& layout) {
  const std::int64_t length = asked > 0 ? asked : own;
  return layout.max_positions > 0 ? std::min(length, layout.max_positions) : length;
}

class SettingLister {
 public:
  void group(const std::string&) {}
  template <typename T>
  void operator()(const std::string& flags, T& field, const std::string& help) {
    settings.push_back({flags, field, help});
  }
  template <typename T>
  void operator()(const std::string& flags, AtMost<T> bounded, const std::string& help) {
    settings.push_back({flags, bounded.field, help, bounded.most});
  }
  std::vector<Setting> settings;
};

class SettingReader {
 public:
  explicit SettingReader(const std::vector<Setting>& from) : from_(from) {}
  void group(const std::string&) {}
  template <typename T>
  void operator()(const std::string& flags, T& field, const std::string&) {
    for (const Setting& setting : from_) {
      if (option_name(setting.flags) == option_name(flags)) field = std::get<T>(setting.value);
    }
  }
  template <typename T>
  void operator()(const std::string& flags, AtMost<T> bounded, const std::string& help) {
    (*this)(flags, bounded.field, help);
  }

 private:
  const std::vector<Setting>& from_;
};

inline void expect_at_least(std::int64_t least, std::int64_t found, const char* option) {
  if (found >= least) return;
  throw InputError({{}, option}, "expected " + std::to_string(least) + " or more, found " +
                                     std::to_string(found));
}

template <typename Options>
Options options_of(const std::vector<Setting>& settings) {
  Options options;
  SettingReader reader(settings);
  visit_options(options, reader);
  return options;
}

// kCheck(options, data, positions, progress), kPrepare(materials, options, data, progress) and,
// with what that gave, kRun(subject, options, prepared, progress) make the row whole; where it is
// learned, with kLearn(materials, options, files, learning, progress).
template <typename Options, auto kCheck, auto kPrepare, auto kRun, auto kLearn = nullptr>
Task make_task(Task row) {
  Options defaults;
  SettingLister lister;
  visit_options(defaults, lister);
  row.settings = std::move(lister.settings);
  row.check = [](const Request& request, std::int64_t positions, Progress& progress) {
    const auto options = options_of<Options>(request.settings);
    expect_at_least(0, options.limit, "limit");
    kCheck(options, request.data, positions, progress);
  };
  row.prepare = [](const Materials& materials, const Request& request,
                   Progress& progress) -> Prepared {
    auto prepared =
        kPrepare(materials, options_of<Options>(request.settings), request.data, progress);
    return std::make_shared<decltype(prepared)>(std::move(prepared));
  };
  row.run = [](const Subject& subject, const Request& request, const Prepared& prepared,
               Progress& progress) {
    using Data = decltype(kPrepare(std::declval<const Materials&>(), Options(),
                                   std::filesystem::path(), progress));
    return kRun(subject, options_of<Options>(request.settings),
                *static_cast<const Data*>(prepared.get()), progress);
  };
  if constexpr (!std::is_null_pointer_v<decltype(kLearn)>) {
    row.learn = [](const Materials& materials, const std::vector<std::filesystem::path>& files,
                   const std::vector<Setting>& settings, const Learning& learning,
                   Progress& progress) {
      return kLearn(materials, options_of<Options>(settings), files, learning, progress);
    };
  }
  return row;
}

// A file each.
Task perplexity_task();
Task divergence_task();
Task loss_task();
Task gsm8k_task();
Task mmlu_task();
Task arc_easy_task();
Task arc_challenge_task();
Task hellaswag_task();
Task piqa_task();
Task winogrande_task();
Task boolq_task();
std::vector<Task> label_task_rows();
Task classification_task();
Task regression_task();
Task squad_task();
Task squad_v2_task();
Task summarization_task();

}  // namespace qloft::evaluate
