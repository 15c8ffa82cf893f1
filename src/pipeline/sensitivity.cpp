#include "qloft/pipeline/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "approximations.h"
#include "automatic.h"
#include "clock.h"
#include "decompose_target.h"
#include "load.h"
#include "matrix_statistics.h"
#include "names.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core.h"
#include "qloft/core/interrupt.h"
#include "qloft/core/memory.h"
#include "qloft/decompose/matrix_errors.h"
#include "qloft/io/field_json.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/report_fields.h"
#include "sensitivity_choice.h"
#include "sensitivity_measure.h"
#include "sensitivity_ranks.h"
#include "sensitivity_text.h"
#include "suspects.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSensitivityFile = "sensitivity.json";
constexpr int kSensitivityVersion = 1;

OutputRequest output_of(const SensitivityOptions& o) {
  return {.output = o.output,
          .overwrite = o.overwrite,
          .command = "sensitivity",
          .inputs = {checkpoint::resolve(o.quantize.model), o.data, o.quantize.stats, o.restore},
          .kind = OutputRequest::Kind::file};
}

// What errors are measured by, beside the method's own metric.
std::optional<statistics::File> statistics_for_errors(const SensitivityOptions& o,
                                                      const quantized::ModelFiles& files) {
  if (o.quantize.stats.empty()) return std::nullopt;
  statistics::File file(o.quantize.stats);
  file.expect_model(identity_of(files), files.folder());
  return file;
}

decompose::Statistics known_of(const std::optional<statistics::File>& file,
                               const QuantizeTarget& target) {
  using decompose::Metric;
  if (!file || target.input_of.empty()) return {};
  const std::string input_of = target.input_of + ".weight";
  for (const Metric metric : {Metric::fisher_gram, Metric::gram}) {
    if (!file->holds(target.weight(), input_of, metric)) continue;
    return file->read(target.weight(), input_of, target.rows, target.columns, metric);
  }
  return {};
}

// Q + s B A.
Matrix approximation_of(const DecomposedTarget& done, const std::string& name) {
  const decompose::Decomposition& result = done.result;
  Matrix out(result.q.rows(), result.q.columns());
  quant::dequantize(result.q, out.view());
  if (done.recipe.rank > 0) {
    adapter::merge_into(out.view(), {result.a, result.b}, done.recipe.scale, name);
  }
  return out;
}

void add_errors(const decompose::MatrixErrors& errors,
                const std::optional<statistics::File>& statistics, SensitiveMatrix& m) {
  m.relative_error = errors.relative;
  m.squared_error = errors.squared;
  m.gram_error = errors.gram;
  m.gram_squared_error = errors.gram_squared;
  m.fisher_gram_error = errors.fisher_gram;
  m.fisher_gram_squared_error = errors.fisher_gram_squared;
  if (errors.gram_squared && statistics->origin().token_weights == statistics::TokenWeights::loss) {
    m.predicted_loss = *errors.gram_squared * statistics::nats_of_gram(statistics->origin());
  } else if (errors.loss_by_prediction) {
    const auto predictions = static_cast<double>(statistics::predictions_of(statistics->origin()));
    m.predicted_loss = *errors.loss_by_prediction * predictions;
  }
  m.worst_output_error = errors.worst_output;
  m.worst_input_error = errors.worst_input;
  m.tail_error = errors.tail;
  m.weight_peak = errors.weight_peak;
  m.input_peak = errors.input_peak;
  m.top_input = errors.top_input;
  m.top_share = errors.top_share;
}

class Sensitivity {
 public:
  // `restored`: null where matrices are quantized.
  Sensitivity(LoadedModel& loaded, const MeasuredText& text, const QuantizeJob& job,
              const Approximations* restored, const std::optional<statistics::File>& statistics)
      : loaded_(loaded),
        job_(job),
        restored_(restored),
        statistics_(statistics),
        measure_(loaded, text.ids, text.sources),
        start_(measure_.full()) {
    if (restored == nullptr) return;
    for (const QuantizeTarget& target : restored->targets()) {
      measure_.put(target, restored->of(target).view());
    }
    start_ = measure_.current();
  }

  const objectives::Comparison& full() const { return measure_.full(); }
  // Before a matrix is exchanged.
  const objectives::Comparison& start() const { return start_; }

  SensitiveMatrix of(const QuantizeTarget& target) {
    const auto begin = Clock::now();
    SensitiveMatrix m;
    m.name = target.weight();
    m.kind = last_part(target.module);
    m.layer = target.layer;
    m.rows = target.rows;
    m.columns = target.columns;
    m.format = target.format.describe();
    m.bits_per_weight = target.format.bits_per_weight(target.rows, target.columns);
    const Matrix values =
        restored_ != nullptr
            ? restored_->of(target)
            : approximation_of(decompose_target(loaded_.files, target, job_), target.module);
    const Matrix weight = loaded_.files.read_matrix(target.id);
    add_errors(decompose::matrix_errors(weight.view(), values.view(), known_of(statistics_, target),
                                        target.weight()),
               statistics_, m);
    const Matrix& exchanged = restored_ != nullptr ? weight : values;
    const objectives::Comparison found = measure_.with(target, exchanged.view());
    const double count = static_cast<double>(found.count) * (restored_ != nullptr ? -1 : 1);
    m.divergence = (found.divergence - start_.divergence) / count;
    m.loss_increase = (found.loss - start_.loss) / count;
    if (!std::isfinite(m.divergence) || !std::isfinite(m.loss_increase)) {
      throw ComputationError({loaded_.files.folder(), m.name},
                             "quantized, it makes the loss infinite or NaN");
    }
    m.seconds = seconds_since(begin);
    return m;
  }

 private:
  LoadedModel& loaded_;
  const QuantizeJob& job_;
  const Approximations* restored_;
  const std::optional<statistics::File>& statistics_;
  SensitivityMeasure measure_;
  objectives::Comparison start_;
};

std::map<std::string, SensitiveMatrix> kept_matrices(const Journal& journal) {
  std::map<std::string, SensitiveMatrix> out;
  for (const io::Json& piece : journal.pieces()) {
    try {
      auto matrix = io::fields_from_json<SensitiveMatrix>(piece);
      out[matrix.name] = std::move(matrix);
    } catch (const io::Json::exception&) {
      continue;  // no matrix
    }
  }
  return out;
}

void measure_all(Sensitivity& sensitivity, const QuantizeJob& job, OutputFolder& folder,
                 std::map<std::string, SensitiveMatrix>& done, Progress& progress) {
  const std::uint64_t total = job.targets.size();
  progress.begin("sensitivity", total, "matrices");
  std::uint64_t finished = done.size();
  if (finished > 0) progress.update(finished, "resumed");
  auto flushed = Clock::now();
  const auto keep = [&] {
    folder.journal().flush();
    folder.keep();
    flushed = Clock::now();
  };
  try {
    for (const QuantizeTarget& target : job.targets) {
      if (done.contains(target.weight())) continue;
      if (progress.stop_requested()) throw Interrupted({}, "stopped");
      SensitiveMatrix matrix = sensitivity.of(target);
      char note[64];
      std::snprintf(note, sizeof note, "%s %.2g", matrix.kind.c_str(), matrix.divergence);
      folder.journal().add(io::fields_to_json(matrix));
      done[matrix.name] = std::move(matrix);
      if (seconds_since(flushed) > kSecondsBetweenFlushes) keep();
      progress.update(++finished, note);
    }
  } catch (const Interrupted&) {
    keep();
    progress.end();
    throw Interrupted({}, std::to_string(finished) + " of " + std::to_string(total) +
                              " matrices are finished and kept; the same command goes on from "
                              "there");
  }
  keep();
  progress.end();
}

void summarize(const QuantizeJob& job, std::map<std::string, SensitiveMatrix>& done,
               SensitivityReport& report) {
  bool predicted = true;
  double sum = 0;
  for (const QuantizeTarget& target : job.targets) {
    report.matrices.push_back(std::move(done.at(target.weight())));
    const SensitiveMatrix& matrix = report.matrices.back();
    report.divergence += matrix.divergence;
    predicted = predicted && matrix.predicted_loss.has_value();
    sum += matrix.predicted_loss.value_or(0);
  }
  if (predicted) report.predicted_loss = sum;
  report.ranks = ranks_of(report.matrices);
}

// Where the file lies, and what was finished when, is no part of what it holds.
io::Json json_of(const SensitivityReport& report) {
  io::Json json = {{"version", kSensitivityVersion}};
  json.update(io::fields_to_json(report));
  for (const char* other : {"output", "resumed"}) json.erase(other);
  return json;
}

}  // namespace

SensitivityReport read_sensitivity(const fs::path& file) {
  const io::Json found = io::read_json(file);
  const auto version = found.is_object() ? found.find("version") : found.end();
  if (version == found.end() || *version != kSensitivityVersion || !found.contains("matrices")) {
    throw InputError({file, "version"}, "expected a report that qloft sensitivity wrote (version " +
                                            std::to_string(kSensitivityVersion) + ")");
  }
  io::Json json = io::fields_to_json(SensitivityReport());
  json.update(found);
  try {
    return io::fields_from_json<SensitivityReport>(json);
  } catch (const io::Json::exception& error) {
    throw InputError(
        {file, {}}, std::string("expected a report that qloft sensitivity wrote: ") + error.what());
  }
}

SensitivityReport sensitivity(const SensitivityOptions& options, Progress& progress) {
  const auto begin = Clock::now();
  reset_peak_resident_bytes();
  check_sensitivity(options);
  expect_output(output_of(options));
  open_dense(checkpoint::resolve(options.quantize.model));
  ModelInputs model = open_model(model_of(options), std::nullopt, /*takes_source=*/true);
  const QuantizeOptions asked = without_work(options.quantize);
  QuantizeJob job = job_of(asked, model.files);
  std::optional<Approximations> restored;
  if (!options.restore.empty()) {
    restored.emplace(options.restore, model.files);
    job.targets = restored->targets();
    job.recipe.rank = restored->rank();
  }
  job.targets = chosen_of(job.targets, options);
  const auto statistics = statistics_for_errors(options, model.files);
  const MeasuredText text = read_measured_text(options, model);
  io::Json work = {{"version", kSensitivityVersion},
                   {"job", to_json(job)},
                   {"model", weights_fingerprint(model.files.folder())},
                   {"windows", text.fingerprint},
                   {"dtype", model.choice.arithmetic.dtype},
                   {"matmul", model.choice.arithmetic.matmul},
                   {"device", options.device}};
  if (restored) work["restored"] = restored->fingerprint();
  if (statistics) work["statistics"] = file_fingerprint(options.quantize.stats);
  OutputFolder folder(output_of(options), work, progress);
  SensitivityReport report;
  if (folder.finished()) {
    report = read_sensitivity(options.output);
  } else {
    const Interruptible interruptible(progress);
    checkpoint::expect_finite(model.files.source());
    report.arithmetic = model.choice.arithmetic;
    report.method = restored ? "restore" : asked.method;
    report.format = job.format_text();
    report.rank = job.recipe.rank;
    report.windows = text.ids.size(0);
    LoadedModel loaded = load_model(std::move(model), progress);
    Sensitivity sensitivity(loaded, text, job, restored ? &*restored : nullptr, statistics);
    const objectives::Comparison& full = sensitivity.full();
    report.predictions = full.count;
    report.loss = full.loss / static_cast<double>(full.count);
    report.perplexity = std::exp(report.loss);
    if (restored) {
      report.restored_divergence = sensitivity.start().divergence / static_cast<double>(full.count);
    }
    auto done = kept_matrices(folder.journal());
    report.resumed = std::ssize(done);
    measure_all(sensitivity, job, folder, done, progress);
    summarize(job, done, report);
    report.seconds = seconds_since(begin);
    report.peak_memory = peak_resident_bytes();
    io::write_json(folder.path() / kSensitivityFile, json_of(report));
  }
  folder.commit_file(kSensitivityFile);
  report.output = options.output;
  return report;
}

}  // namespace qloft::pipeline
