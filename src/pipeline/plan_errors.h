#pragma once
// The error of every candidate in every matrix, kept in a file of JSON lines.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "matrix_statistics.h"
#include "plan_candidates.h"
#include "qloft/core/progress.h"
#include "qloft/decompose.h"
#include "qloft/io.h"
#include "qloft/pipeline/resume.h"
#include "targets.h"

namespace qloft::pipeline {

// A journal (qloft/pipeline/resume.h) with a piece {"name": ..., "errors": [...]} a matrix.
class ErrorFile {
 public:
  // FOLDER/errors-HASH.jsonl.
  ErrorFile(const std::filesystem::path& folder, const io::Json& work, std::size_t candidates);

  const std::filesystem::path& path() const { return journal_.path(); }
  // By weight name.
  const std::map<std::string, std::vector<double>>& errors() const { return errors_; }
  void add(const std::string& name, std::vector<double> errors);
  // What was added is on the disk when it returns.
  void flush() { journal_.flush(); }

 private:
  Journal journal_;
  std::map<std::string, std::vector<double>> errors_;
};

// Finds the errors that `file` does not hold yet. Throws Interrupted where progress asks to stop;
// what was found is kept.
void find_errors(const quantized::ModelFiles& files, const std::vector<QuantizeTarget>& targets,
                 const Candidates& candidates, const decompose::Recipe& recipe,
                 const std::optional<statistics::File>& statistics, ErrorFile& file,
                 Progress& progress);

}  // namespace qloft::pipeline
