#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>
#include <optional>
#include <string>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "temporary_folder.h"

namespace qloft::checkpoint {
namespace {

namespace fs = std::filesystem;

// Sets environment variables (nullptr: unset) for the life of the object.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& values) {
    for (const char* name : {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = ::getenv(name);
      before_[name] = value == nullptr ? std::nullopt : std::optional<std::string>(value);
      const auto it = values.find(name);
      set(name, it == values.end() ? std::nullopt : std::optional(it->second));
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) set(name, value);
  }

 private:
  static void set(const std::string& name, const std::optional<std::string>& value) {
    value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  std::map<std::string, std::optional<std::string>> before_;
};

fs::path make_snapshot(const fs::path& cache, const std::string& repository,
                       const std::string& commit) {
  const fs::path folder = cache / repository;
  fs::create_directories(folder / "refs");
  fs::create_directories(folder / "snapshots" / commit);
  write_file(folder / "refs" / "main", commit);
  return folder / "snapshots" / commit;
}

std::string error_of(const std::string& model) {
  try {
    resolve(model);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Resolve, TakesAFolderAsItIs) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(resolve(folder.path().string()), folder.path());
}

TEST(Resolve, FindsASnapshotWhereverTheCacheIs) {
  const test::TemporaryFolder root;
  const fs::path caches[] = {root / "hub_cache", root / "home" / "hub",
                             root / "xdg" / "huggingface" / "hub",
                             root / "user" / ".cache" / "huggingface" / "hub"};
  const std::map<std::string, std::string> environments[] = {
      {{"HF_HUB_CACHE", caches[0].string()}, {"HF_HOME", "/nonexistent"}},
      {{"HF_HOME", (root / "home").string()}, {"XDG_CACHE_HOME", "/nonexistent"}},
      {{"XDG_CACHE_HOME", (root / "xdg").string()}, {"HOME", "/nonexistent"}},
      {{"HOME", (root / "user").string()}}};
  for (std::size_t i = 0; i < 4; ++i) {
    const fs::path snapshot = make_snapshot(caches[i], "models--org--some.name-7B", "0abc");
    const Environment environment(environments[i]);
    EXPECT_EQ(resolve("org/some.name-7B"), snapshot) << i;
  }
}

TEST(Resolve, TakesTheOnlySnapshotWithoutAReference) {
  const test::TemporaryFolder cache;
  const fs::path snapshot = make_snapshot(cache.path(), "models--gpt2", "0abc");
  fs::remove(cache / "models--gpt2" / "refs" / "main");
  const Environment environment({{"HF_HUB_CACHE", cache.path().string()}});
  EXPECT_EQ(resolve("gpt2"), snapshot);
  fs::create_directories(cache / "models--gpt2" / "snapshots" / "1def");
  EXPECT_NE(error_of("gpt2").find("expected refs/main or a single snapshot, found 2"),
            std::string::npos);
}

TEST(Resolve, RefusesAReferenceThatLeavesTheCache) {
  const test::TemporaryFolder cache;
  make_snapshot(cache.path(), "models--org--name", "0abc");
  const Environment environment({{"HF_HUB_CACHE", cache.path().string()}});
  for (const char* commit : {"../../..", "", "0abd", "/etc"}) {
    write_file(cache / "models--org--name" / "refs" / "main", commit);
    EXPECT_NE(error_of("org/name").find("expected the "), std::string::npos) << commit;
  }
}

TEST(Resolve, SuggestsTheNearestFolder) {
  const test::TemporaryFolder folder;
  fs::create_directories(folder / "llama-8m");
  fs::create_directories(folder / "other");
  const Environment environment({{"HF_HUB_CACHE", (folder / "other").string()}});
  EXPECT_EQ(error_of((folder / "lama-8m").string()), (folder / "lama-8m").string() +
                                                         ": no such folder; did you mean " +
                                                         (folder / "llama-8m").string() + "?");
  EXPECT_EQ(error_of((folder / "quite-different").string()),
            (folder / "quite-different").string() + ": no such folder");
}

TEST(Resolve, SuggestsTheNearestNameInTheCache) {
  const test::TemporaryFolder cache;
  make_snapshot(cache.path(), "models--meta-llama--Llama-2-7b-hf", "0abc");
  const Environment environment({{"HF_HUB_CACHE", cache.path().string()}});
  EXPECT_EQ(error_of("meta-lama/Llama-2-7b-hf"),
            "meta-lama/Llama-2-7b-hf: no such folder, and no such model in the hub cache " +
                cache.path().string() + "; did you mean meta-llama/Llama-2-7b-hf?");
}

TEST(Resolve, RefusesAFileAndNothing) {
  const test::TemporaryFolder folder;
  write_file(folder / "x", "");
  EXPECT_NE(error_of((folder / "x").string()).find("expected a model folder, found a file"),
            std::string::npos);
  EXPECT_NE(error_of("").find("expected a model folder or a hub name"), std::string::npos);
}

}  // namespace
}  // namespace qloft::checkpoint
