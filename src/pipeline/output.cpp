#include "qloft/pipeline/output.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "output_names.h"
#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// By which earlier versions knew an interrupted run.
constexpr const char* kFormerMarks[] = {".work.json", "training/training_state.safetensors"};
constexpr const char* kFinished = "finished";

bool has_former_mark(const fs::path& folder) {
  return std::ranges::any_of(kFormerMarks,
                             [&](const char* mark) { return is_there(folder / mark); });
}

}  // namespace

void remove_leftovers(const fs::path& file) {
  const fs::path staging = with_suffix(file, kStagingSuffix);
  if (!is_there(file) || !is_folder(staging)) return;
  if (!is_there(staging / kLockFile) && !holds_only_marks(staging)) return;
  const FileLock lock(staging / kLockFile, file);
  remove_whole(staging);
}

OutputFolder::OutputFolder(const OutputRequest& request, const io::Json* work)
    : request_(request),
      target_(target_of(request)),
      staging_(with_suffix(target_, kStagingSuffix)),
      old_(with_suffix(target_, kOldSuffix)) {
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
    remove_made_folders();
    return;
  } catch (const Error&) {
    // What is left is ours by its marks.
  }
  try {
    // There may be no descriptor to read the folder with but the lock's own.
    lock_.reset();
    if (!holds_only_marks(staging_)) return;
    remove_whole(staging_);
    remove_made_folders();
  } catch (const Error&) {
    // As above.
  }
}

// Those that are empty.
void OutputFolder::remove_made_folders() {
  std::error_code error;
  for (const fs::path& folder : made_) fs::remove(folder, error);
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
    std::error_code error;
    if (!is_folder(staging_) || fs::is_symlink(staging_, error)) {
      throw InputError({staging_, {}}, "expected a folder or none");
    }
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
  for (fs::path folder = staging_; !folder.empty() && !is_there(folder);
       folder = folder.parent_path()) {
    made_.push_back(folder);
  }
  try {
    make_folders(staging_);
    lock_.emplace(staging_ / kLockFile, target_);
  } catch (const Error&) {
    remove_made_folders();
    throw;
  }
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

void OutputFolder::commit(const std::function<void()>& clear) {
  flush_to_disk(staging_);
  const bool kept = std::exchange(kept_, true);  // the work, where something came meanwhile
  refuse_existing();
  kept_ = kept;
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
  if (clear) clear();
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
    const bool kept = std::exchange(kept_, true);  // the work, where something came meanwhile
    refuse_existing();
    kept_ = kept;
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
