#include "quantized_output.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io/field_json.h"
#include "qloft/pipeline/report_fields.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;

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

std::set<std::string> replaced_tensors(const quantized::ModelFiles& files, const QuantizeJob& job) {
  std::set<std::string> out;
  for (const QuantizeTarget& target : job.targets) {
    for (std::string& name : files.tensors(target.id)) out.insert(std::move(name));
  }
  return out;
}

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

}  // namespace

QuantizedOutput::QuantizedOutput(const QuantizeJob& job, const quantized::ModelFiles& files,
                                 OutputFolder& folder)
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

void QuantizedOutput::add(const QuantizeTarget& target, const decompose::Decomposition& result,
                          QuantizedMatrix matrix) {
  quantized::write_matrix(*writer_, target.weight(), result.q);
  if (adapter_ && target.adapted) adapter_->write(target.module, {result.a, result.b});
  folder_.journal().add(io::fields_to_json(matrix));
  done_[target.weight()] = std::move(matrix);
  if (seconds_since(flushed_) > kSecondsBetweenFlushes) flush();
}

void QuantizedOutput::flush() {
  if (adapter_) adapter_->flush();
  folder_.journal().flush();
  writer_->checkpoint();
  folder_.keep();
  flushed_ = Clock::now();
}

}  // namespace qloft::pipeline
