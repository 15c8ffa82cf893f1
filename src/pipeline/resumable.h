#pragma once
// An output folder that an interrupted run of the same work is continued in.

#include <filesystem>
#include <string>

#include "qloft/core/file.h"
#include "qloft/core/progress.h"
#include "qloft/io.h"

namespace qloft::pipeline {

class ResumableFolder {
 public:
  // `work` is everything that the output depends on. What a former run left is kept if it was for
  // the same work, else removed, and progress is told. Throws InputError where the output is the
  // model itself or another command's interrupted run is in the way, or as StagedFolder does.
  ResumableFolder(const std::filesystem::path& output, bool overwrite,
                  const std::filesystem::path& model, const io::Json& work, Progress& progress);

  const std::filesystem::path& path() const { return staged_.path(); }
  // True: a former run's files are here.
  bool resumes() const { return resumes_; }
  // Adds lines of JSON, each with its newline; they are on the disk when it returns.
  void append(const std::string& lines) const;
  // The lines so far; one that was cut short is left out.
  std::vector<io::Json> lines() const;
  // Puts the folder in its place, without the files that only a resumed run needs.
  void commit();
  // The output is a file: puts this one of the folder in its place and removes the folder.
  void commit_file(const std::string& name);

 private:
  StagedFolder staged_;
  bool resumes_ = false;
};

// The names, sizes and times of a folder's safetensors, to tell whether it is still the same.
io::Json identity_of(const std::filesystem::path& folder);

}  // namespace qloft::pipeline
