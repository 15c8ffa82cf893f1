#pragma once
// Where a command writes.
//
// A folder is built as OUTPUT.partial and renamed when it is whole. One process at a time has it:
// the lock in it, .qloft-lock, is signed by the command. A run that was killed at any time is taken
// up by the same command: what .partial holds, and a folder that is in its place already but still
// has the marks in it. Nothing is ever removed but what has such a mark or is replaced on request;
// what is replaced is OUTPUT.qloft-old until the new folder is in its place.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "qloft/core/file.h"
#include "qloft/core/progress.h"
#include "qloft/io.h"
#include "qloft/pipeline/resume.h"

namespace qloft::pipeline {

struct OutputRequest {
  enum class Kind { folder, file };

  std::filesystem::path output;
  bool overwrite = false;
  bool resume = false;  // it goes on with what is in its place
  std::string command;
  std::vector<std::filesystem::path> inputs = {};  // files and folders; empty ones are passed over
  Kind kind = Kind::folder;
};

// Before any work. Throws InputError where the output has no name of its own (".", "a/.."), is of
// the other kind, a mount point, or lies in what is no folder, is or holds one of the inputs, or is
// there already without overwrite; SystemError where its folder cannot be written to.
void expect_output(const OutputRequest& request);

// The same of a folder that is written in place: InputError where its name or path is too long or
// it is, or lies in, an unfinished output; SystemError where it cannot be written to.
void expect_place(const std::filesystem::path& folder);

// Throws InputError where `folder`, which is to be removed, is or holds one of the inputs.
void expect_no_input(const std::filesystem::path& folder,
                     const std::vector<std::filesystem::path>& inputs);

// Removes what a killed run left beside a file that is in its place.
void remove_leftovers(const std::filesystem::path& file);

// The lock of a folder that is written in place, over many runs.
inline constexpr const char* kLockFile = ".qloft-lock";

class OutputFolder {
 public:
  // Goes on with an earlier run where its journal is of this work, else begins anew; progress is
  // told where an interrupted run of other work is removed. Throws as expect_output; InputError
  // where another command's interrupted run is in the way (unless overwrite), or a folder .partial
  // that is not ours; Error where another process writes there.
  OutputFolder(const OutputRequest& request, const io::Json& work, Progress& progress);
  // Without a journal: what is found stays until start_afresh().
  explicit OutputFolder(const OutputRequest& request);
  // Without commit() all is removed, unless there is work in it to go on with.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  const std::filesystem::path& target() const { return target_; }
  // True: an earlier run's files are here.
  bool resumes() const { return journal_ && journal_->state() == Journal::State::resumed; }
  Journal& journal() { return *journal_; }
  // From now on there is work in it to go on with.
  void keep() { kept_ = true; }
  void keep_if(std::function<bool()> worth) { worth_ = std::move(worth); }
  // Removes all that an earlier run left.
  void start_afresh();
  // Puts the folder in its place, without its marks. `clear` removes what an interrupted run alone
  // needs, when the folder is in its place but still known by its marks.
  void commit(const std::function<void()>& clear = {});

  // The output is a file. True: a killed run had put it in its place; commit_file() ends that.
  bool finished() const;
  // Puts this one of the folder in its place and removes the folder.
  void commit_file(const std::string& name);

 private:
  OutputFolder(const OutputRequest& request, const io::Json* work);
  void take_target();
  void take_staging();
  void restore_replaced();
  void refuse_existing() const;
  void remove_all_but_lock();
  void remove_made_folders();

  OutputRequest request_;
  std::filesystem::path target_;
  std::filesystem::path staging_;
  std::filesystem::path old_;
  std::unique_ptr<const io::Json> work_;  // null: without a journal
  std::optional<FileLock> lock_;
  std::optional<Journal> journal_;
  std::function<bool()> worth_;
  std::vector<std::filesystem::path> made_;  // folders on the way that were not there
  bool kept_ = false;
  bool committed_ = false;
};

}  // namespace qloft::pipeline
