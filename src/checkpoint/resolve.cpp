#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <system_error>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/text.h"

namespace qloft::checkpoint {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaximumCandidates = 10'000;  // entries of a folder that are looked at

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path expand_home(const std::string& path) {
  if (path == "~" || path.starts_with("~/")) return environment("HOME") + path.substr(1);
  return path;
}

// The hub cache, by the variables and in the order of huggingface_hub.
fs::path hub_cache() {
  if (const std::string cache = environment("HF_HUB_CACHE"); !cache.empty()) {
    return expand_home(cache);
  }
  if (const std::string home = environment("HF_HOME"); !home.empty()) {
    return expand_home(home) / "hub";
  }
  const std::string cache = environment("XDG_CACHE_HOME");
  return (cache.empty() ? expand_home("~/.cache") : expand_home(cache)) / "huggingface" / "hub";
}

bool is_hub_name(const std::string& name) {
  if (name.empty() || name.front() == '/' || name.back() == '/' || name.front() == '.') {
    return false;
  }
  if (std::count(name.begin(), name.end(), '/') > 1) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '/' || c == '-' || c == '_' || c == '.';
  });
}

std::string repository_folder(const std::string& name) {
  std::string out = "models--";
  for (const char c : name) out += c == '/' ? "--" : std::string(1, c);
  return out;
}

fs::path snapshot_of(const fs::path& repository, const std::string& name) {
  const fs::path snapshots = repository / "snapshots";
  std::error_code error;
  if (const fs::path reference = repository / "refs" / "main"; fs::exists(reference, error)) {
    std::string commit = read_file(reference);
    while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back()))) {
      commit.pop_back();
    }
    const bool plain = !commit.empty() && std::all_of(commit.begin(), commit.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0;
    });
    if (!plain) throw InputError({reference, {}}, "expected the name of a commit");
    if (fs::is_directory(snapshots / commit, error)) return snapshots / commit;
    throw InputError({snapshots / commit, {}},
                     "expected the snapshot that refs/main names, found no such folder; download " +
                         name + " again");
  }
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(snapshots, error)) {
    if (entry.is_directory(error)) found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  throw InputError({repository, {}}, "expected refs/main or a single snapshot, found " +
                                         std::to_string(found.size()) + " snapshots");
}

// The folder in `parent` whose name is nearest to `wanted`, empty where none is near.
std::string nearest_folder(const fs::path& parent, const std::string& wanted) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    if (names.size() >= kMaximumCandidates) break;
    std::error_code status_error;
    if (it->is_directory(status_error)) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return nearest_name(wanted, names);
}

std::string other_folder(const fs::path& path, const fs::path& cache, const std::string& name) {
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  fs::path clean = path;
  if (clean.filename().empty()) clean = clean.parent_path();
  if (const std::string near = nearest_folder(parent, clean.filename().string()); !near.empty()) {
    return "; did you mean " + (path.has_parent_path() ? parent / near : fs::path(near)).string() +
           "?";
  }
  if (cache.empty()) return "";
  std::string near = nearest_folder(cache, repository_folder(name));
  if (!near.starts_with("models--")) return "";
  near.erase(0, 8);
  if (const auto at = near.find("--"); at != std::string::npos) near.replace(at, 2, "/");
  return "; did you mean " + near + "?";
}

}  // namespace

fs::path resolve(const std::string& model) {
  if (model.empty()) throw InputError("expected a model folder or a hub name, found nothing");
  fs::path path(model);
  std::error_code error;
  if (fs::is_directory(path, error)) return path;
  if (fs::exists(path, error)) {
    throw InputError({path, {}}, "expected a model folder, found a file");
  }
  fs::path cache;
  if (is_hub_name(model)) {
    cache = hub_cache();
    const fs::path repository = cache / repository_folder(model);
    if (fs::is_directory(repository, error)) return snapshot_of(repository, model);
  }
  throw InputError(
      {path, {}},
      "no such folder" +
          (cache.empty() ? "" : ", and no such model in the hub cache " + cache.string()) +
          other_folder(path, cache, model));
}

}  // namespace qloft::checkpoint
