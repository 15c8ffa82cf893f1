// quantize --recover: the quantized folder in OUTPUT.work, then what recover makes of it.

#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "automatic.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io/field_json.h"
#include "qloft/io/option_json.h"
#include "qloft/pipeline/option_lists.h"
#include "qloft/pipeline/output.h"
#include "qloft/pipeline/report_fields.h"
#include "qloft/pipeline/resume.h"
#include "recover_stage.h"
#include "work_folder.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kQuantizeReport = "quantization_report.json";

// Named by all that it depends on.
fs::path quantized_folder(const QuantizeOptions& options) {
  io::Json work = io::Json::object();
  io::OptionEcho echo(work);
  QuantizeOptions copy = options;
  visit_options(copy, echo);
  for (const char* other : {"output", "overwrite", "recover"}) work.erase(other);
  work = by_contents(std::move(work));
  work["data"] = file_fingerprint(options.data);
  work["model"] = model_fingerprint(checkpoint::resolve(options.model));
  return work_folder(options.output) / ("quantized-" + work_name(work));
}

// What the folder says of itself, and what it does not say.
QuantizeReport kept_report(const fs::path& file) {
  io::Json json = io::fields_to_json(QuantizeReport());
  json.update(io::read_json(file));
  QuantizeReport report = io::fields_from_json<QuantizeReport>(json);
  // Reports of earlier versions lack it.
  report.total_bits_per_weight = report.bits_per_weight + report.adapter_bits_per_weight;
  return report;
}

}  // namespace

QuantizeReport quantize_and_recover(
    const QuantizeOptions& options, Progress& progress,
    const std::function<QuantizeReport(const QuantizeOptions&, Progress&)>& quantize_only) {
  RecoverOptions recovery;
  recovery.model = options.model;
  recovery.teacher = options.model;
  recovery.data = options.data;
  recovery.output = options.output;
  recovery.overwrite = options.overwrite;
  recovery.chat_template = options.chat_template;
  recovery.train.max_steps = options.recover;
  recovery.train.seed = options.seed;
  recovery.train.length = sequence_length(options, checkpoint::resolve(options.model));
  check_recover(recovery);

  QuantizeOptions quantizing = options;
  quantizing.recover = 0;
  if (!needs_statistics(options)) {
    quantizing.data.clear();
    quantizing.chat_template.clear();
  }
  quantizing.output = quantized_folder(options);
  QuantizeReport report;
  if (std::error_code error; fs::exists(quantizing.output, error)) {
    report = kept_report(quantizing.output / kQuantizeReport);
  } else {
    make_folders(quantizing.output.parent_path());
    try {
      report = quantize_only(quantizing, progress);
    } catch (const Error&) {
      std::error_code none;
      fs::remove(quantizing.output.parent_path(), none);  // where nothing is in it
      throw;
    }
  }
  recovery.model = quantizing.output.string();
  recovery.train.resume = has_saved_recovery(options.output) && !options.overwrite;
  const RecoverReport recovered = recover(recovery, progress, [&] { remove_work(options); });
  report.output = options.output;
  report.first_loss = recovered.summary.first_loss;
  report.last_loss = recovered.summary.last_loss;
  report.recover_seconds = recovered.seconds;
  report.held_out_before = recovered.held_out_before;
  report.held_out_after = recovered.held_out_after;
  return report;
}

}  // namespace qloft::pipeline
