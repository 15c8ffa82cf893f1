#include "qloft/pipeline/bench.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <tuple>

#include "bench_inputs.h"
#include "qloft/core/cpu.h"
#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"
#include "qloft/core/threads.h"
#include "qloft/measure.h"

namespace qloft::pipeline {
namespace {

constexpr const char* kBenchAdapter = "bench";
constexpr std::uint64_t kBenchSeed = 1;

// Puts back how many threads there were.
class ThreadCount {
 public:
  ThreadCount() = default;
  ~ThreadCount() { set_thread_count(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

  void set(std::int64_t threads) {
    set_thread_count(threads == 0 ? before_ : static_cast<int>(threads));
  }

 private:
  int before_ = thread_count();
};

std::string label_of(const BenchTest& test, std::int64_t batch) {
  const std::string tokens = std::to_string(test.tokens);
  if (test.kind == BenchTest::Kind::train) {
    return "train " + (batch > 1 ? std::to_string(batch) + " x " : "") + tokens +
           (test.checkpointing ? ", checkpointing" : "");
  }
  return (test.kind == BenchTest::Kind::prompt ? "prompt " : "decode ") + tokens +
         (test.depth > 0 ? " @ " + std::to_string(test.depth) : "");
}

// A model with the adapter of the test at hand.
class Subject {
 public:
  Subject(const BenchInputs& inputs, const BenchOptions& options, const BenchVariant& variant,
          Progress& progress)
      : inputs_(inputs), options_(options), model_(load(inputs, variant, progress)) {}

  model::Model& model() { return model_; }

  // The rank of the adapter in use; empty: none.
  std::optional<std::int64_t> rank_of(const BenchTest& test) const {
    return test.random_rank > 0 ? test.random_rank : inputs_.own_rank;
  }

  // One at a time, so that the memory of a test holds no other's. `type`: of factors that are not
  // trained.
  model::AdapterId adapter_for(const BenchTest& test, const std::string& type) {
    const std::tuple wanted{test.random_rank, test.kind == BenchTest::Kind::train, type};
    if (attached_ != wanted) {
      if (attached_) model_.detach(kBenchAdapter);
      attached_.reset();
      if (!rank_of(test)) return model::kNoAdapter;
      model_.set_factor_type(model::stored_type_from_name(type).value_or(model::StoredType::f32));
      model_.attach(kBenchAdapter, bench_adapter(inputs_, options_, test.random_rank),
                    std::get<1>(wanted));
      attached_ = wanted;
    }
    return model_.find_adapter(kBenchAdapter);
  }

 private:
  static model::Model load(const BenchInputs& inputs, const BenchVariant& variant,
                           Progress& progress) {
    at::set_num_threads(1);  // the work is in our own threads (load.cpp)
    if (inputs.files) return model::Model::load(*inputs.files, variant.load, progress);
    progress.begin("draw", 1, "models");
    model::Model model =
        model::Model::random(inputs.layout, variant.load, kBenchSeed, variant.format);
    progress.update(1, {});
    progress.end();
    return model;
  }

  const BenchInputs& inputs_;
  const BenchOptions& options_;
  model::Model model_;
  std::optional<std::tuple<std::int64_t, bool, std::string>> attached_;  // rank, trained, type
};

Arithmetic asked_for(const BenchVariant& variant, const BenchTest& test) {
  Arithmetic asked = variant.asked;
  asked.cache_type = test.cache_type;
  asked.adapter_type = test.adapter_type;
  asked.output_type = test.output_type;
  return asked;
}

measure::Measured run(Subject& subject, const BenchVariant& variant, const BenchTest& test,
                      const BenchOptions& options, Progress& progress) {
  const measure::Repeat repeat{options.repetitions, !options.no_warmup};
  const Arithmetic asked = asked_for(variant, test);
  const model::AdapterId adapter =
      subject.adapter_for(test, settled_adapter_type(asked, options.device));
  model::Model& model = subject.model();
  if (test.kind == BenchTest::Kind::train) {
    model.set_output_type(model::OutputType::stored);
  } else {
    model.set_cache_type(*model::stored_type_from_name(settled_cache_type(asked)));
    model.set_output_type(
        *model::output_type_from_name(settled_output_type(asked, options.device)));
  }
  switch (test.kind) {
    case BenchTest::Kind::prompt:
      return measure::prompt(model, adapter, {test.tokens, test.depth}, repeat, progress);
    case BenchTest::Kind::decode:
      return measure::decode(model, adapter, {test.tokens, test.depth, test.source}, repeat,
                             progress);
    case BenchTest::Kind::train:
      break;
  }
  return measure::train(model, adapter, {options.batch, test.tokens, test.checkpointing}, repeat,
                        progress);
}

BenchRow row_of(Subject& subject, const BenchVariant& variant, const BenchTest& test,
                const BenchOptions& options, Progress& progress) {
  BenchRow row;
  row.label = label_of(test, options.batch);
  progress.begin(row.label, static_cast<std::uint64_t>(options.repetitions), "repetitions");
  const measure::Measured measured = run(subject, variant, test, options, progress);
  progress.end();
  row.tokens = test.tokens;
  if (test.kind == BenchTest::Kind::train) {
    row.test = "train";
    row.batch = options.batch;
    row.checkpointing = test.checkpointing;
  } else {
    row.test = test.kind == BenchTest::Kind::prompt ? "prompt" : "decode";
    row.depth = test.depth;
    const Arithmetic asked = asked_for(variant, test);
    row.cache_type = settled_cache_type(asked);
    row.output_type = name(subject.model().output_type());
    if (subject.rank_of(test)) row.adapter_type = settled_adapter_type(asked, options.device);
  }
  row.rank = subject.rank_of(test);
  row.dtype = variant.arithmetic.dtype;
  row.matmul = variant.arithmetic.matmul;
  row.threads = thread_count();
  row.tokens_per_second = measured.mean;
  row.deviation = measured.deviation;
  row.peak_memory = measured.peak_memory;
  row.samples = measured.tokens_per_second;
  return row;
}

// A row a test, until the progress asks to stop.
void measure_all(const BenchInputs& inputs, const BenchOptions& options, BenchReport& report,
                 Progress& progress) {
  const Interruptible interruptible(progress);
  ThreadCount threads;
  for (const BenchVariant& variant : inputs.variants) {
    const StoredSize stored = stored_size(inputs, variant);
    Subject subject(inputs, options, variant, progress);
    for (const std::int64_t count : options.threads) {
      threads.set(count);
      for (const BenchTest& test : inputs.tests) {
        BenchRow row = row_of(subject, variant, test, options, progress);
        row.bytes = stored.bytes;
        row.bits_per_weight = stored.bits_per_weight;
        report.rows.push_back(std::move(row));
      }
    }
  }
}

std::optional<double> first_of(const BenchReport& report, std::string_view test) {
  const auto found = std::ranges::find(report.rows, test, &BenchRow::test);
  return found == report.rows.end() ? std::nullopt : std::optional(found->tokens_per_second);
}

}  // namespace

BenchReport bench(const BenchOptions& options, Progress& progress) {
  const BenchInputs inputs = open_bench(options);
  BenchReport report;
  report.model = inputs.name;
  report.architecture = inputs.layout.family;
  report.parameters = architecture::parameter_count(inputs.layout);
  report.random = options.random;
  report.processor = measure::processor_name();
  report.instruction_set = name(chosen_instruction_set());
  report.device = options.device;
  report.tests =
      std::ssize(inputs.variants) * std::ssize(options.threads) * std::ssize(inputs.tests);
  try {
    measure_all(inputs, options, report, progress);
  } catch (const Interrupted&) {
    if (report.rows.empty()) throw;
  }
  report.prompt_tokens_per_second = first_of(report, "prompt");
  report.decode_tokens_per_second = first_of(report, "decode");
  report.train_tokens_per_second = first_of(report, "train");
  for (const BenchRow& row : report.rows) {
    if (row.peak_memory) {
      report.peak_memory = std::max(report.peak_memory.value_or(0), *row.peak_memory);
    }
  }
  return report;
}

}  // namespace qloft::pipeline
