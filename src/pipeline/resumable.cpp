#include "resumable.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "qloft/core/error.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWorkFile = ".work.json";
constexpr const char* kLinesFile = ".done.jsonl";

}  // namespace

ResumableFolder::ResumableFolder(const fs::path& output, bool overwrite, const fs::path& model,
                                 const io::Json& work, Progress& progress)
    : staged_([&] {
        if (output.empty()) throw InputError({{}, "output"}, "expected a folder to write to");
        std::error_code error;
        if (fs::equivalent(output, model, error)) {
          throw InputError({output, {}}, "the output folder is the model itself");
        }
        return StagedFolder(output, overwrite);
      }()) {
  const fs::path file = path() / kWorkFile;
  const std::string text = work.dump();
  std::error_code error;
  if (fs::exists(file, error)) {
    resumes_ = read_file(file) == text;
    if (!resumes_) {
      progress.note(path().string() + ": an interrupted run had another model or other options; " +
                    "beginning anew");
    }
  }
  if (resumes_) return;
  if (!overwrite && !fs::exists(file, error) && !fs::is_empty(path(), error)) {
    throw InputError({path(), {}},
                     "expected no interrupted run of another command (--overwrite removes it)");
  }
  staged_.start_afresh();
  write_file(file, text);
}

void ResumableFolder::append(const std::string& lines) const {
  const fs::path file = path() / kLinesFile;
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) throw SystemError({file, {}}, "cannot open for writing", errno);
  std::string_view rest = lines;
  int error = 0;
  while (!rest.empty() && error == 0) {
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && ::fsync(descriptor) != 0) error = errno;
  ::close(descriptor);
  if (error != 0) throw SystemError({file, {}}, "cannot write", error);
}

std::vector<io::Json> ResumableFolder::lines() const {
  std::vector<io::Json> out;
  const fs::path file = path() / kLinesFile;
  std::error_code error;
  if (!fs::exists(file, error)) return out;
  const std::string text = read_file(file);
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    io::Json line = io::Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (line.is_object()) out.push_back(std::move(line));
  }
  // The next line must not grow from a torn one.
  if (begin < text.size()) append("\n");
  return out;
}

void ResumableFolder::commit() {
  std::error_code error;
  fs::remove(path() / kLinesFile, error);
  fs::remove(path() / kWorkFile, error);
  staged_.commit();
}

void ResumableFolder::commit_file(const std::string& name) {
  std::error_code error;
  fs::rename(path() / name, staged_.target(), error);
  if (error) throw SystemError({staged_.target(), {}}, "cannot put in its place", error.value());
  flush_to_disk(staged_.target());
  fs::remove_all(path(), error);
}

io::Json identity_of(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  io::Json out = io::Json::array();
  out.push_back(fs::weakly_canonical(folder, error).string());
  for (const fs::path& file : files) {
    const auto time = fs::last_write_time(file, error).time_since_epoch().count();
    out.push_back({file.filename().string(), fs::file_size(file, error), time});
  }
  return out;
}

}  // namespace qloft::pipeline
