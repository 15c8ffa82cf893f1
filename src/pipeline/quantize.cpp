#include "qloft/pipeline/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "automatic.h"
#include "clock.h"
#include "matrix_statistics.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/memory.h"
#include "qloft/io/field_json.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/report_fields.h"
#include "qloft/quantized.h"
#include "quantize_job.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// Of a line that this program wrote; nullopt where it is not one.
std::optional<QuantizedMatrix> matrix_from_json(const io::Json& json) {
  try {
    auto matrix = io::fields_from_json<QuantizedMatrix>(json);
    if (matrix.relative_error.empty() || matrix.metric_error.empty()) return std::nullopt;
    return matrix;
  } catch (const io::Json::exception&) {
    return std::nullopt;
  }
}

std::map<std::string, quantized::MatrixEntry> entries_of(const QuantizeJob& job) {
  std::map<std::string, quantized::MatrixEntry> entries;
  for (const QuantizeTarget& target : job.targets) {
    entries[target.weight()] = {target.format, target.rows, target.columns};
  }
  return entries;
}

std::map<std::string, adapter::Writer::Shape> modules_of(const QuantizeJob& job) {
  std::map<std::string, adapter::Writer::Shape> modules;
  for (const QuantizeTarget& target : job.targets) {
    if (target.adapted) modules[target.module] = {target.rows, target.columns};
  }
  return modules;
}

// The tensors of the model that hold quantized matrices, and so are not in the output.
std::set<std::string> replaced_tensors(const quantized::ModelFiles& files, const QuantizeJob& job) {
  std::set<std::string> out;
  for (const QuantizeTarget& target : job.targets) {
    for (std::string& name : files.tensors(target.id)) out.insert(std::move(name));
  }
  return out;
}

// Every tensor of the output in the order of the forward pass, then what else the model holds.
std::vector<io::TensorInfo> output_tensors(const quantized::ModelFiles& files,
                                           const QuantizeJob& job) {
  const auto entries = entries_of(job);
  const std::set<std::string> replaced = replaced_tensors(files, job);
  std::vector<io::TensorInfo> out;
  std::set<std::string> seen;
  const auto add = [&](const std::string& name) {
    if (seen.insert(name).second) out.push_back(files.source().info(name));
  };
  const auto& parameters = files.layout().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto entry = entries.find(parameters[i].name);
    if (entry != entries.end()) {
      for (auto& part : quantized::tensors_of(entry->first, entry->second)) {
        out.push_back(std::move(part));
      }
      continue;
    }
    for (const std::string& name : files.tensors(static_cast<architecture::ParameterId>(i))) {
      if (replaced.contains(name)) {
        throw InputError({{}, "target_modules"}, "expected all or none of the matrices in " + name +
                                                     ", found some without " +
                                                     parameters[i].module());
      }
      add(name);
    }
  }
  for (const std::string& name : files.foreign()) add(name);
  return out;
}

// The files of one run, written in step, so that each matrix is in all of them or done again.
class QuantizedOutput {
 public:
  QuantizedOutput(const QuantizeJob& job, const quantized::ModelFiles& files, OutputFolder& folder)
      : folder_(folder) {
    const auto modules = modules_of(job);
    const auto entries = entries_of(job);
    auto tensors = output_tensors(files, job);
    // The journal of the writer is the last file to appear: with it, the adapter is here too.
    const bool resumes = folder.resumes() && fs::exists(folder.path() / ".written");
    if (job.has_adapter()) {
      const fs::path adapter_folder = folder.path() / "adapter";
      make_folders(adapter_folder);
      adapter_.emplace(adapter_folder, job.adapter, modules, job.adapter_type,
                       resumes ? adapter::Writer::Mode::reopen : adapter::Writer::Mode::create,
                       files.layout());
    }
    writer_.emplace(folder.path(), std::move(tensors),
                    resumes ? checkpoint::Writer::Mode::resume : checkpoint::Writer::Mode::create);
    if (!resumes) return;
    for (const io::Json& piece : folder.journal().pieces()) {
      auto matrix = matrix_from_json(piece);
      if (!matrix || !entries.contains(matrix->name)) continue;
      const auto parts = quantized::tensors_of(matrix->name, entries.at(matrix->name));
      const bool whole = std::all_of(parts.begin(), parts.end(), [&](const io::TensorInfo& part) {
        return writer_->written(part.name);
      });
      if (whole) done_[matrix->name] = std::move(*matrix);
    }
  }

  const std::map<std::string, QuantizedMatrix>& done() const { return done_; }
  checkpoint::Writer& writer() { return *writer_; }

  void add(const QuantizeTarget& target, const decompose::Decomposition& result,
           QuantizedMatrix matrix) {
    quantized::write_matrix(*writer_, target.weight(), result.q);
    if (adapter_ && target.adapted) adapter_->write(target.module, {result.a, result.b});
    folder_.journal().add(io::fields_to_json(matrix));
    done_[target.weight()] = std::move(matrix);
    if (seconds_since(flushed_) > kSecondsBetweenFlushes) flush();
  }

  // Factors and report first: what the writer's journal lists is whole everywhere.
  void flush() {
    if (adapter_) adapter_->flush();
    folder_.journal().flush();
    writer_->checkpoint();
    folder_.keep();
    flushed_ = Clock::now();
  }

 private:
  OutputFolder& folder_;
  std::optional<adapter::Writer> adapter_;
  std::optional<checkpoint::Writer> writer_;
  std::map<std::string, QuantizedMatrix> done_;
  Clock::time_point flushed_ = Clock::now();
};

// The recipe with what is the target's own.
decompose::Recipe recipe_of(const QuantizeTarget& target, const QuantizeJob& job) {
  decompose::Recipe recipe = job.recipe;
  recipe.format = target.format;
  if (!target.adapted) {
    recipe.rank = 0;
    recipe.low_rank = decompose::LowRankSolver::none;
    recipe.loop = decompose::Loop::once;
  }
  return recipe;
}

decompose::Decomposition decompose_one(const quantized::ModelFiles& files,
                                       const QuantizeTarget& target, decompose::Recipe& recipe,
                                       const std::optional<statistics::File>& known) {
  const decompose::Statistics statistics = statistics_of(known, target, recipe);
  const Matrix weight = files.read_matrix(target.id);
  files.drop(target.id);
  try {
    auto result = decompose::decompose(weight.view(), recipe, statistics, target.weight());
    if (!std::isfinite(result.final_error()) || !std::isfinite(result.final_metric_error())) {
      throw ComputationError({}, "the error is not finite");
    }
    return result;
  } catch (const Error&) {
    rethrow_naming(target, files);
  }
}

void quantize_matrices(const quantized::ModelFiles& files, const QuantizeJob& job,
                       QuantizedOutput& output, Progress& progress) {
  const std::uint64_t total = job.targets.size();
  std::uint64_t done = output.done().size();
  progress.begin("quantize", total, "matrices");
  if (done > 0) progress.update(done, "resumed");
  for (const QuantizeTarget& target : job.targets) {
    if (output.done().contains(target.weight())) continue;
    if (progress.stop_requested()) {
      output.flush();
      progress.end();
      throw Interrupted({}, std::to_string(done) + " of " + std::to_string(total) +
                                " matrices are finished and kept; the same command goes on from "
                                "there");
    }
    const auto begin = Clock::now();
    decompose::Recipe recipe = recipe_of(target, job);
    const decompose::Decomposition result = decompose_one(files, target, recipe, job.statistics);
    if (recipe.metric != job.recipe.metric) {
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
    matrix.metric = decompose::name(recipe.metric);
    matrix.metric_error = result.metric_error;
    matrix.svd_residual = result.svd_residual;
    matrix.seconds = seconds_since(begin);
    output.add(target, result, std::move(matrix));
    char note[32];
    std::snprintf(note, sizeof note, "error %.4f", result.final_error());
    progress.update(++done, note);
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
  json.erase("output");
  json.erase("resumed");
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

}  // namespace

adapter::Config check_quantize(const QuantizeOptions& options) {
  return job_of(without_work(options), open_dense(checkpoint::resolve(options.model))).adapter;
}

QuantizeReport quantize(const QuantizeOptions& asked, Progress& progress) {
  const auto begin = Clock::now();
  reset_peak_resident_bytes();
  const Resolved resolved = [&] {
    if (!leaves_open(asked)) return Resolved{asked, {}, {}};
    check_quantize(asked);
    expect_output(output_of(asked));
    return resolve(asked, progress);
  }();
  const QuantizeOptions& options = resolved.options;
  const quantized::ModelFiles files = open_dense(checkpoint::resolve(options.model));
  for (const std::string& warning : files.warnings()) progress.warn(warning);
  const checkpoint::Checkpoint& source = files.source();
  const QuantizeJob job = job_of(options, files);
  io::Json work = to_json(job);
  work["model"] = weights_fingerprint(source.folder());
  OutputFolder folder(output_of(asked), work, progress);

  QuantizeReport report;
  report.output = options.output;
  if (!resolved.chosen.empty()) {
    report.chosen =
        resolved.chosen + ", " + job.format_text() + ", rank " + std::to_string(options.rank);
    report.reason = resolved.reason;
  }
  QuantizedOutput output(job, files, folder);
  report.resumed = static_cast<std::int64_t>(output.done().size());
  if (report.resumed > 0) {
    progress.note("an interrupted run had finished " + std::to_string(report.resumed) + " of " +
                  std::to_string(job.targets.size()) + " matrices; going on from there");
  }
  say_what_is_unreached(job.statistics, job.targets, job.recipe.metric, progress);
  quantize_matrices(files, job, output, progress);
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

}  // namespace qloft::pipeline
