// How many threads a stage has, counted while it runs: at every report of its progress, and at
// every piece of text.
#include "qloft/core/threads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>

#include "apples.h"
#include "qloft/core/file.h"
#include "qloft/evaluate/task.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/evaluate.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/generate.h"
#include "qloft/pipeline/merge.h"
#include "qloft/pipeline/plan.h"
#include "qloft/pipeline/quantize.h"
#include "temporary_folder.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;

class CountingProgress : public Progress {
 public:
  void count() {
    const auto threads = std::distance(fs::directory_iterator("/proc/self/task"), {});
    most_ = std::max(most_, static_cast<int>(threads));
  }
  void begin(std::string_view, std::uint64_t, std::string_view) override { count(); }
  void update(std::uint64_t, std::string_view) override { count(); }
  void end() override { count(); }
  int most() const { return most_; }

 private:
  int most_ = 0;
};

class Threads : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file(folder_ / "text.txt", test::apples());
    write_file(folder_ / "data.jsonl", R"({"text": "Tom has 3 apples and buys 5 more."})");
  }
  void TearDown() override { set_thread_count(before_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // The most threads of the process during `stage`, which may use `allowed`.
  static int counted(int allowed, const std::function<void(CountingProgress&)>& stage) {
    set_thread_count(allowed);
    at::set_num_threads(2);  // torch's own, as on most machines
    CountingProgress progress;
    stage(progress);
    progress.count();
    return progress.most();
  }

  void quantize_model(Progress& progress) const {
    QuantizeOptions o;
    o.model = kModel;
    o.output = path("q");
    o.overwrite = true;
    o.method = "loftq";
    o.iterations = 1;
    quantize(o, progress);
  }
  void run_calibrate(Progress& progress) const {
    CalibrateOptions o;
    o.model.model = kModel;
    o.data = path("text.txt");
    o.output = path("stats");
    o.samples = 2;
    o.length = 64;
    calibrate(o, progress);
  }
  void run_plan(Progress& progress) const {
    PlanOptions o;
    o.model = kModel;
    o.output = path("plan.json");
    o.bits = 3;
    plan(o, progress);
  }
  void run_finetune(Progress& progress) const {
    FinetuneOptions o;
    o.model = path("q");
    o.data = {path("data.jsonl")};
    o.output = path("tuned");
    o.train.max_steps = 2;
    finetune(o, progress);
  }
  void run_evaluate(const std::string& dtype, Progress& progress) const {
    EvaluateOptions o;
    o.model.model = path("q");
    o.model.dtype = dtype;
    o.data = path("text.txt");
    evaluate::set(o.settings, "window", std::int64_t{256});
    evaluate(o, progress);
  }
  void run_generate(CountingProgress& progress) const {
    GenerateOptions o;
    o.model.model = path("q");
    o.prompt = "Tom has 3 apples and buys";
    o.max_tokens = 4;
    o.ignore_eos = true;
    const auto sink = [&](std::string_view) {
      progress.count();
      return true;
    };
    generate(o, sink, progress);
  }
  void run_merge(Progress& progress) const {
    MergeOptions o;
    o.model = path("q");
    o.output = path("merged");
    merge(o, progress);
  }

  const std::string kModel = (fs::path(QLOFT_TEST_DATA) / "../examples/bundled/model").string();
  test::TemporaryFolder folder_;

 private:
  int before_ = thread_count();
};

TEST_F(Threads, AreNoneBesideTheCallersWhereOneIsAllowed) {
  const int idle = counted(1, [](CountingProgress&) {});
  const std::pair<const char*, std::function<void(CountingProgress&)>> stages[] = {
      {"quantize", [&](auto& progress) { quantize_model(progress); }},
      {"calibrate", [&](auto& progress) { run_calibrate(progress); }},
      {"plan", [&](auto& progress) { run_plan(progress); }},
      {"finetune", [&](auto& progress) { run_finetune(progress); }},
      {"evaluate", [&](auto& progress) { run_evaluate("f32", progress); }},
      {"evaluate in bf16", [&](auto& progress) { run_evaluate("bf16", progress); }},
      {"generate", [&](auto& progress) { run_generate(progress); }},
      {"merge", [&](auto& progress) { run_merge(progress); }},
  };
  for (const auto& [name, stage] : stages) EXPECT_EQ(counted(1, stage), idle) << name;
  // So that this test would see them.
  EXPECT_GE(counted(3, [&](auto& progress) { quantize_model(progress); }), idle + 2);
}

}  // namespace
}  // namespace qloft::pipeline
