#include "qloft/pipeline/output.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kJournalFile = ".journal.jsonl";
// By which earlier versions knew an interrupted run.
constexpr const char* kFormerMarks[] = {".work.json", "training/training_state.safetensors"};
constexpr const char* kFinished = "finished";

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

fs::path with_suffix(fs::path path, const char* suffix) {
  path += suffix;
  return path;
}

fs::path folder_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

bool is_unfinished_file(const fs::path& path) {
  return path.filename().string().ends_with(kUnfinished);
}

bool holds_only_marks(const fs::path& folder) {
  std::error_code error;
  return std::ranges::all_of(fs::directory_iterator(folder, error), [](const auto& entry) {
    return entry.path().filename() == kLockFile || is_unfinished_file(entry.path());
  });
}

bool has_former_mark(const fs::path& folder) {
  return std::ranges::any_of(kFormerMarks,
                             [&](const char* mark) { return is_there(folder / mark); });
}

// Also where a link on the way leads elsewhere.
bool is_within(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const auto both = [&](const fs::path& p) {
    return std::vector{fs::absolute(p, error).lexically_normal(), fs::weakly_canonical(p, error)};
  };
  for (const fs::path& outer : both(folder)) {
    for (const fs::path& inner : both(path)) {
      if (std::ranges::mismatch(outer, inner).in1 == outer.end()) return true;
    }
  }
  return false;
}

// Without a final slash, and where a link leads.
fs::path target_of(const OutputRequest& request) {
  const bool file = request.kind == OutputRequest::Kind::file;
  if (request.output.empty()) {
    throw InputError({{}, "output"},
                     file ? "expected a file to write" : "expected a folder to write to");
  }
  fs::path target = request.output;
  if (!file && target.filename().empty()) target = target.parent_path();
  const fs::path name = target.filename();
  if (is_folder(target) && file) {
    throw InputError({request.output, {}}, "expected a file to write, found a folder");
  }
  if (name.empty() || name == "." || name == "..") {
    throw InputError({request.output, {}}, file ? "expected the name of a file"
                                                : "expected the name of a folder to write");
  }
  std::error_code error;
  if (fs::is_symlink(target, error) && fs::exists(target, error)) {
    target = fs::canonical(target, error);
  }
  return target;
}

void expect_writable_place(const fs::path& target) {
  fs::path folder = folder_of(target);
  while (!is_there(folder) && folder.has_parent_path() && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  if (!is_there(folder)) folder = ".";
  if (!is_folder(folder)) throw InputError({folder, {}}, "expected a folder, found a file");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    throw SystemError({folder, {}}, "cannot be written to", errno);
  }
}

bool is_mount_point(const fs::path& folder) {
  struct stat its {
  }, outer{};
  return ::stat(folder.c_str(), &its) == 0 && ::stat(folder_of(folder).c_str(), &outer) == 0 &&
         its.st_dev != outer.st_dev;
}

void refuse_existing_file(const fs::path& target) {
  throw InputError({target, {}}, "is there already (--overwrite replaces it)");
}

void refuse_existing_folder(const fs::path& target) {
  throw InputError({target, {}}, "the output folder is not empty (--overwrite replaces it)");
}

}  // namespace

void expect_no_input(const fs::path& folder, const std::vector<fs::path>& inputs) {
  for (const fs::path& input : inputs) {
    if (input.empty() || !is_there(input) || !is_within(input, folder)) continue;
    throw InputError({folder, {}},
                     "expected an output that holds no input, found " + input.string());
  }
}

void expect_output(const OutputRequest& request) {
  const fs::path target = target_of(request), staging = with_suffix(target, ".partial");
  const bool file = request.kind == OutputRequest::Kind::file;
  expect_no_input(target, request.inputs);
  expect_no_input(staging, request.inputs);
  expect_writable_place(target);
  std::error_code error;
  if (!is_there(target)) return;
  const bool replaces = request.overwrite || request.resume;
  if (file) {
    if (!fs::is_regular_file(target, error)) {
      throw InputError({request.output, {}}, "expected a regular file or none");
    }
    for (const fs::path& input : request.inputs) {
      if (!replaces || input.empty() || !is_folder(input) || !is_within(target, input)) continue;
      throw InputError({request.output, {}},
                       "expected no file of an input, found one in " + input.string());
    }
    const bool unfinished =
        is_folder(staging) && (is_there(staging / kJournalFile) || holds_only_marks(staging));
    if (!replaces && !unfinished) refuse_existing_file(target);
    return;
  }
  if (!is_folder(target)) throw InputError({request.output, {}}, "exists and is not a folder");
  if (is_mount_point(target)) {
    throw InputError({request.output, {}}, "expected a folder that is not a mount point");
  }
  const bool unfinished = is_there(target / kJournalFile) || is_there(target / kLockFile);
  if (!replaces && !unfinished && !fs::is_empty(target, error)) refuse_existing_folder(target);
}

void remove_leftovers(const fs::path& file) {
  const fs::path staging = with_suffix(file, ".partial");
  if (!is_there(file) || !is_folder(staging)) return;
  if (!is_there(staging / kLockFile) && !holds_only_marks(staging)) return;
  const FileLock lock(staging / kLockFile, file);
  remove_whole(staging);
}

OutputFolder::OutputFolder(const OutputRequest& request, const io::Json* work)
    : request_(request),
      target_(target_of(request)),
      staging_(with_suffix(target_, ".partial")),
      old_(with_suffix(target_, ".qloft-old")) {
  if (work != nullptr) work_ = std::make_unique<io::Json>(*work);
}

OutputFolder::OutputFolder(const OutputRequest& request) : OutputFolder(request, nullptr) {
  expect_output(request);
  take_target();
  take_staging();
  restore_replaced();
  refuse_existing();
}

OutputFolder::OutputFolder(const OutputRequest& request, const io::Json& work, Progress& progress)
    : OutputFolder(request, &work) {
  expect_output(request);
  take_target();
  take_staging();
  restore_replaced();
  const fs::path journal = staging_ / kJournalFile;
  if (Journal::is_of(journal, work)) {
    journal_.emplace(journal, work);
    refuse_existing();
    return;
  }
  refuse_existing();
  if (is_there(journal) || has_former_mark(staging_)) {
    progress.note(staging_.string() +
                  ": an interrupted run had another model or other options; beginning anew");
  }
  start_afresh();
}

OutputFolder::~OutputFolder() {
  if (!lock_ || committed_ || kept_ || (worth_ && worth_())) return;
  try {
    remove_all_but_lock();
    remove_whole(staging_);
  } catch (const Error&) {
    // What is left is ours by its marks.
  }
}

// A run that was killed after it had put the folder in its place goes on with it.
void OutputFolder::take_target() {
  if (request_.kind == OutputRequest::Kind::file || is_there(staging_)) return;
  const bool ours = work_ ? Journal::is_of(target_ / kJournalFile, *work_)
                          : signature(target_ / kLockFile) == request_.command;
  if (!ours) return;
  const FileLock lock(target_ / kLockFile, target_);
  rename_whole(target_, staging_);
}

void OutputFolder::take_staging() {
  bool empty = true, ours = true;
  if (is_there(staging_)) {
    if (!is_folder(staging_)) throw InputError({staging_, {}}, "expected a folder or none");
    const std::string command = signature(staging_ / kLockFile);
    const bool former = is_there(staging_ / kJournalFile) || has_former_mark(staging_);
    empty = holds_only_marks(staging_);
    ours = empty || command == request_.command || (command.empty() && former);
    if (!ours && command.empty()) {
      throw InputError({staging_, {}}, "expected none: qloft did not make it, and builds there");
    }
    if (!ours && !request_.overwrite) {
      const FileLock running(staging_ / kLockFile, target_);
      throw InputError({staging_, {}},
                       "expected no interrupted run of another command (--overwrite removes it)");
    }
  }
  make_folders(staging_);
  lock_.emplace(staging_ / kLockFile, target_);
  if (!ours) remove_all_but_lock();
  kept_ = ours && !empty;
  lock_->sign(request_.command);
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(staging_, error)) {
    if (is_unfinished_file(entry.path())) fs::remove(entry.path(), error);
  }
}

// A run that was killed between moving the old folder away and the new one into its place.
void OutputFolder::restore_replaced() {
  if (request_.kind == OutputRequest::Kind::folder && !is_there(target_) && is_there(old_)) {
    rename_whole(old_, target_);
  }
}

void OutputFolder::refuse_existing() const {
  std::error_code error;
  if (request_.overwrite || request_.resume || !is_there(target_)) return;
  if (request_.kind == OutputRequest::Kind::file) {
    if (!finished()) refuse_existing_file(target_);
  } else if (!fs::is_empty(target_, error)) {
    refuse_existing_folder(target_);
  }
}

// The journal last: without it the rest would be nobody's.
void OutputFolder::remove_all_but_lock() {
  std::error_code error;
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(staging_, error)) entries.push_back(entry.path());
  if (error) throw SystemError({staging_, {}}, "cannot be read", error.value());
  for (const fs::path& entry : entries) {
    if (entry.filename() != kLockFile && entry.filename() != kJournalFile) remove_whole(entry);
  }
  remove_whole(staging_ / kJournalFile);
}

void OutputFolder::start_afresh() {
  remove_all_but_lock();
  kept_ = false;
  if (work_) journal_.emplace(staging_ / kJournalFile, *work_);
}

void OutputFolder::commit() {
  flush_to_disk(staging_);
  const bool replaces = is_there(target_);
  output_is_whole(true);
  if (replaces) {
    remove_whole(old_);
    rename_whole(target_, old_);
  }
  try {
    rename_whole(staging_, target_);
  } catch (const Error&) {
    std::error_code error;
    if (replaces) fs::rename(old_, target_, error);
    throw;
  }
  kept_ = true;
  flush_to_disk(folder_of(target_));
  remove_whole(old_);
  // The last mark is the one by which take_target() knows the folder.
  remove_whole(target_ / kLockFile);
  if (work_) remove_whole(target_ / kJournalFile);
  committed_ = true;
}

bool OutputFolder::finished() const {
  if (!journal_ || !is_there(target_)) return false;
  return std::ranges::any_of(journal_->pieces(), [&](const io::Json& piece) {
    const auto name = piece.find(kFinished);
    return name != piece.end() && name->is_string() &&
           !is_there(staging_ / name->get<std::string>());
  });
}

void OutputFolder::commit_file(const std::string& name) {
  if (!finished()) {
    journal_->add({{kFinished, name}});
    journal_->flush();
    kept_ = true;
    output_is_whole(true);
    rename_whole(staging_ / name, target_);
    flush_to_disk(folder_of(target_));
  }
  remove_all_but_lock();
  remove_whole(staging_);
  committed_ = true;
}

}  // namespace qloft::pipeline
