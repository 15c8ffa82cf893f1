#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "output_names.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;

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

fs::path without_final_slash(const fs::path& path) {
  return path.filename().empty() ? path.parent_path() : path;
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
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.filename() != kLockFile && !is_unfinished_file(path)) return false;
  }
  return !error;
}

fs::path target_of(const OutputRequest& request) {
  const bool file = request.kind == OutputRequest::Kind::file;
  if (request.output.empty()) {
    throw InputError({{}, "output"},
                     file ? "expected a file to write" : "expected a folder to write to");
  }
  fs::path target = file ? request.output : without_final_slash(request.output);
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

void refuse_existing_file(const fs::path& target) {
  throw InputError({target, {}}, "is there already (--overwrite replaces it)");
}

void refuse_existing_folder(const fs::path& target) {
  throw InputError({target, {}}, "the output folder is not empty (--overwrite replaces it)");
}

namespace {

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

// It stands beside itself under longer names meanwhile, and files in it have names too.
void expect_short_name(const fs::path& target) {
  constexpr std::size_t kMostName = 255 - std::string_view(kOldSuffix).size();
  constexpr std::size_t kMostPath = PATH_MAX - 256;
  const std::size_t name = target.filename().native().size(), path = target.native().size();
  if (name > kMostName) {
    throw InputError({target, {}}, "expected a name of at most " + std::to_string(kMostName) +
                                       " bytes, found " + std::to_string(name));
  }
  if (path > kMostPath) {
    throw InputError({target, {}}, "expected a path of at most " + std::to_string(kMostPath) +
                                       " bytes, found " + std::to_string(path));
  }
}

// What is built there belongs to another output, which removes it when it is done.
void expect_outside_of_unfinished(const fs::path& target) {
  const auto is_staging = [](const fs::path& folder) {
    return folder.filename().native().ends_with(kStagingSuffix);
  };
  if (is_staging(target)) {
    throw InputError({target, {}}, std::string("expected a name without ") + kStagingSuffix +
                                       ", which unfinished outputs have");
  }
  std::error_code error;
  const fs::path whole = fs::absolute(target, error).lexically_normal();
  for (fs::path folder = whole.parent_path(); folder != folder.parent_path();
       folder = folder.parent_path()) {
    if (!is_staging(folder) || !is_there(folder / kLockFile)) continue;
    throw InputError({target, {}},
                     "expected no output in an unfinished one, found it in " + folder.string());
  }
}

// In a folder as /tmp is, only its owner may move a file away.
void expect_own_to_replace(const fs::path& target) {
  struct stat its {
  }, outer{};
  if (::lstat(target.c_str(), &its) != 0 || ::stat(folder_of(target).c_str(), &outer) != 0) return;
  const uid_t user = ::geteuid();
  if ((outer.st_mode & S_ISVTX) == 0 || user == 0) return;
  if (its.st_uid == user || outer.st_uid == user) return;
  throw SystemError({target, {}}, "cannot be replaced", EPERM);
}

bool is_mount_point(const fs::path& folder) {
  struct stat its {
  }, outer{};
  return ::stat(folder.c_str(), &its) == 0 && ::stat(folder_of(folder).c_str(), &outer) == 0 &&
         its.st_dev != outer.st_dev;
}

}  // namespace

void expect_no_input(const fs::path& folder, const std::vector<fs::path>& inputs) {
  for (const fs::path& input : inputs) {
    if (input.empty() || !is_there(input) || !is_within(input, folder)) continue;
    throw InputError({folder, {}},
                     "expected an output that holds no input, found " + input.string());
  }
}

void expect_place(const fs::path& folder) {
  const fs::path target = folder.filename().empty() ? folder.parent_path() : folder;
  expect_short_name(target);
  expect_outside_of_unfinished(target);
  expect_writable_place(target / kLockFile);
}

void expect_output(const OutputRequest& request) {
  const fs::path target = target_of(request), staging = with_suffix(target, kStagingSuffix);
  const bool file = request.kind == OutputRequest::Kind::file;
  expect_no_input(target, request.inputs);
  expect_no_input(staging, request.inputs);
  expect_short_name(target);
  expect_outside_of_unfinished(target);
  expect_writable_place(target);
  std::error_code error;
  if (!is_there(target)) return;
  expect_own_to_replace(target);
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

}  // namespace qloft::pipeline
