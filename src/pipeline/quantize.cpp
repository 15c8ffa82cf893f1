#include "qloft/pipeline/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "adapter_storage.h"
#include "automatic.h"
#include "calibrate_collect.h"
#include "clock.h"
#include "decompose_target.h"
#include "matrices_at_once.h"
#include "matrix_statistics.h"
#include "qloft/backend/tensor_memory.h"
#include "qloft/core/checked.h"
#include "qloft/core/error.h"
#include "qloft/core/memory.h"
#include "qloft/core/side_by_side.h"
#include "qloft/io/field_json.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/report_fields.h"
#include "qloft/quantized.h"
#include "quantize_job.h"
#include "quantize_sequential.h"
#include "quantized_output.h"
#include "sequential_states.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// The warnings and notes of one matrix, and its line of the report.
QuantizedMatrix report_one(const QuantizeTarget& target, const DecomposedTarget& done,
                           const QuantizeJob& job, Progress& progress) {
  const decompose::Decomposition& result = done.result;
  if (done.recipe.metric != job.recipe.metric) {
    progress.warn(target.weight() +
                  ": nothing is multiplied by it, so no statistics are of it; "
                  "it gets the nearest codes, and its error is in the Frobenius norm");
  }
  if (result.damping > job.recipe.damping) {
    progress.note(target.weight() + ": its Gram matrix is singular; damped by " +
                  std::to_string(result.damping) + " of its diagonal's mean");
  }
  QuantizedMatrix matrix;
  matrix.name = target.weight();
  matrix.layer = target.layer;
  matrix.rows = target.rows;
  matrix.columns = target.columns;
  matrix.format = target.format.describe();
  matrix.bits_per_weight = target.format.bits_per_weight(target.rows, target.columns);
  matrix.relative_error = result.relative_error;
  matrix.metric = decompose::name(done.recipe.metric);
  matrix.metric_error = result.metric_error;
  matrix.svd_residual = result.svd_residual;
  matrix.seconds = done.seconds;
  return matrix;
}

// Those that are not done, side by side; each to `add`.
void decompose_all(const quantized::ModelFiles& files, const QuantizeJob& job,
                   const QuantizedOutput& output, const AddDecomposed& add, Progress& progress) {
  std::vector<const QuantizeTarget*> targets;
  for (const QuantizeTarget& target : job.targets) {
    if (!output.done().contains(target.weight())) targets.push_back(&target);
  }
  std::vector<std::optional<DecomposedTarget>> found(targets.size());
  side_by_side(
      std::ssize(targets), matrices_at_once(targets, job.recipe), progress,
      [&](std::int64_t i) {
        found[static_cast<std::size_t>(i)] =
            decompose_target(files, *targets[static_cast<std::size_t>(i)], job);
      },
      [&](std::int64_t i) {
        add(*targets[static_cast<std::size_t>(i)],
            *std::exchange(found[static_cast<std::size_t>(i)], std::nullopt));
      });
}

// `decompose` gives each matrix to what it is called with.
void quantize_matrices(const QuantizeJob& job, QuantizedOutput& output, Progress& progress,
                       const std::function<void(const AddDecomposed&)>& decompose) {
  const std::uint64_t total = job.targets.size();
  const auto done = [&] { return static_cast<std::uint64_t>(output.done().size()); };
  progress.begin("quantize", total, "matrices");
  if (done() > 0) progress.update(done(), "resumed");
  try {
    decompose([&](const QuantizeTarget& target, const DecomposedTarget& one) {
      output.add(target, one.result, report_one(target, one, job, progress));
      char note[32];
      std::snprintf(note, sizeof note, "error %.4f", one.result.final_error());
      progress.update(done(), note);
      if (done() < total && progress.stop_requested()) throw Interrupted({}, "stopped");
    });
  } catch (const Interrupted&) {
    output.flush();
    progress.end();
    throw Interrupted({}, std::to_string(done()) + " of " + std::to_string(total) +
                              " matrices are finished and kept; the same command goes on from "
                              "there");
  }
  output.flush();
  progress.end();
}

// What is not quantized, as stored bytes.
void copy_others(const quantized::ModelFiles& files, const QuantizeJob& job,
                 QuantizedOutput& output) {
  const checkpoint::Checkpoint& source = files.source();
  const std::set<std::string> replaced = replaced_tensors(files, job);
  for (const std::string& name : source.names()) {
    if (replaced.contains(name) || output.writer().written(name)) continue;
    output.writer().write(name, source.bytes(name));
    source.drop(name);
  }
}

void write_config(const checkpoint::Checkpoint& source, const QuantizeJob& job,
                  const fs::path& folder) {
  quantized::QuantizationConfig quantization;
  quantization.matrices = entries_of(job);
  io::Json config = source.config();
  config["quantization_config"] = quantized::to_json(quantization);
  io::write_json(folder / "config.json", config);
}

void write_report(const QuantizeOptions& options, const QuantizeJob& job,
                  const QuantizeReport& report, const fs::path& folder) {
  io::Json json = io::fields_to_json(report);
  // Where the folder lies, and what was finished when, is no part of what it holds.
  for (const char* other : {"output", "resumed", "first_loss", "last_loss", "recover_seconds"}) {
    json.erase(other);
  }
  json["method"] = options.method;
  json["rank"] = job.recipe.rank;
  json["alpha"] = job.adapter.alpha;
  json["iterations"] = job.recipe.iterations;
  json["exact"] = job.recipe.exact_svd;
  json["seed"] = job.recipe.seed;
  for (io::Json& matrix : json["matrices"]) matrix["shape"] = {matrix["rows"], matrix["columns"]};
  io::write_json(folder / "quantization_report.json", json);
}

void summarize(const QuantizeJob& job, const QuantizedOutput& output, QuantizeReport& report) {
  double bits = 0, weights = 0, errors = 0, metric_errors = 0;
  std::int64_t in_metric = 0;
  for (const QuantizeTarget& target : job.targets) {
    const QuantizedMatrix& matrix = output.done().at(target.weight());
    const auto size = static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns);
    bits += matrix.bits_per_weight * size;
    weights += size;
    errors += matrix.relative_error.back();
    if (matrix.metric == decompose::name(job.recipe.metric)) {
      metric_errors += matrix.metric_error.back();
      ++in_metric;
    }
    report.matrices.push_back(matrix);
  }
  report.format = job.format_text();
  report.bits_per_weight = weights > 0 ? bits / weights : 0;
  report.relative_error =
      job.targets.empty() ? 0 : errors / static_cast<double>(job.targets.size());
  if (job.has_adapter() && weights > 0) {
    report.adapter_bits_per_weight =
        8.0 *
        static_cast<double>(adapter::stored_bytes(job.adapter, modules_of(job), job.adapter_type)) /
        weights;
  }
  report.total_bits_per_weight = report.bits_per_weight + report.adapter_bits_per_weight;
  report.metric = decompose::name(job.recipe.metric);
  report.metric_error = in_metric == 0 ? 0 : metric_errors / static_cast<double>(in_metric);
}

OutputRequest output_of(const QuantizeOptions& options) {
  return {.output = options.output,
          .overwrite = options.overwrite,
          .command = "quantize",
          .inputs = {checkpoint::resolve(options.model), options.data, options.stats,
                     options.plan.value_or(""), options.chat_template}};
}

QuantizeReport quantize_only(const QuantizeOptions& asked, Progress& progress) {
  const auto begin = Clock::now();
  reset_peak_resident_bytes();
  const Resolved resolved = [&] {
    if (!leaves_open(asked)) return Resolved{asked, {}, {}};
    check_quantize(asked);
    expect_output(output_of(asked));
    return resolve(asked, progress);
  }();
  backend::return_freed_tensors();  // by calibrating, or a stage before
  const QuantizeOptions& options = resolved.options;
  const quantized::ModelFiles files = open_dense(checkpoint::resolve(options.model));
  for (const std::string& warning : files.warnings()) progress.warn(warning);
  if (!files.head_warning().empty()) progress.warn(files.head_warning());
  const checkpoint::Checkpoint& source = files.source();
  const QuantizeJob job = job_of(options, files);
  io::Json work = to_json(job);
  work["model"] = weights_fingerprint(source.folder());
  std::optional<CalibrateOptions> calibration;
  if (is_sequential(options)) {
    calibration = calibration_of(options);
    work["sequential"] = sequential_work(*calibration);
  }
  OutputFolder folder(output_of(asked), work, progress);

  QuantizeReport report;
  report.output = options.output;
  if (!resolved.chosen.empty()) {
    report.chosen = resolved.chosen + ", " + job.format_text() + ", " + job.rank_text() +
                    (job.recipe.rank > 0 ? " in " + adapter_storage_name(job.adapter_type) : "");
    report.reason = resolved.reason;
  }
  QuantizedOutput output(job, files, folder);
  report.rank = job.recipe.rank;
  report.resumed = static_cast<std::int64_t>(output.done().size());
  if (report.resumed > 0) {
    progress.note("an interrupted run had finished " + std::to_string(report.resumed) + " of " +
                  std::to_string(job.targets.size()) + " matrices; going on from there");
  }
  say_what_is_unreached(job.statistics, job.targets, job.recipe.metric, progress);
  const bool all_done = output.done().size() == job.targets.size();
  if (calibration && !all_done) {
    SequentialQuantizer sequential(*calibration, files, job, folder, progress);
    quantize_matrices(job, output, progress,
                      [&](const AddDecomposed& add) { sequential.run(output, add, progress); });
  } else {
    quantize_matrices(job, output, progress, [&](const AddDecomposed& add) {
      decompose_all(files, job, output, add, progress);
    });
  }
  remove_states(folder.path());
  remove_sums(folder.path());
  copy_others(files, job, output);
  summarize(job, output, report);
  checkpoint::copy_companions(source.folder(), folder.path());
  write_config(source, job, folder.path());
  report.seconds = seconds_since(begin);
  report.peak_memory = peak_resident_bytes();
  write_report(options, job, report, folder.path());
  output.writer().finish();
  remove_work(options);
  folder.commit();
  return report;
}

}  // namespace

adapter::Config check_quantize(const QuantizeOptions& options) {
  return job_of(without_work(options), open_dense(checkpoint::resolve(options.model))).adapter;
}

QuantizeReport quantize(const QuantizeOptions& asked, Progress& progress) {
  if (asked.recover == 0) return quantize_only(asked, progress);
  check_quantize(asked);
  expect_output(output_of(asked));
  return quantize_and_recover(asked, progress, quantize_only);
}

}  // namespace qloft::pipeline
