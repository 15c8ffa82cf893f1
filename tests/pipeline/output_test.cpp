#include "qloft/pipeline/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "../../src/pipeline/output_names.h"
#include "qloft/core/error.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Output : public ::testing::Test {
 protected:
  OutputRequest request(const std::string& name, bool overwrite = false) const {
    return {.output = folder_ / name, .overwrite = overwrite, .command = "quantize"};
  }
  std::unique_ptr<OutputFolder> open(const OutputRequest& request, int options = 1) {
    return std::make_unique<OutputFolder>(request, io::Json{{"options", options}}, silent_);
  }
  std::string refusal_of(const OutputRequest& request) {
    try {
      open(request);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }
  void make(const std::string& file) {
    fs::create_directories((folder_ / file).parent_path());
    write_file(folder_ / file, "precious");
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Output, AppearsWholeWithoutItsMarks) {
  const auto output = open(request("out"));
  write_file(output->path() / "a", "x");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  output->commit();
  EXPECT_EQ(read_file(folder_ / "out/a"), "x");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "out"), {}), 1);
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(Output, WithoutWorkToGoOnWithNothingIsLeft) {
  write_file(open(request("out"))->path() / "a", "x");
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(Output, WithoutWorkToGoOnWithNoFolderOnItsWayIsLeft) {
  make("kept/a");
  open(request("kept/b/c/out"));
  EXPECT_FALSE(fs::exists(folder_ / "kept/b"));
  EXPECT_TRUE(fs::exists(folder_ / "kept"));
}

TEST_F(Output, ALinkInPlaceOfItsFolderIsLeftAlone) {
  fs::create_directory(folder_ / "elsewhere");
  fs::create_directory_symlink("elsewhere", folder_ / "out.partial");
  EXPECT_THAT(refusal_of(request("out")), HasSubstr("out.partial: expected a folder or none"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "out.partial"));
  EXPECT_TRUE(fs::is_empty(folder_ / "elsewhere"));
}

TEST_F(Output, WorkOfTheSameOptionsIsTakenUp) {
  {
    const auto output = open(request("out"));
    write_file(output->path() / "a", "x");
    output->keep();
  }
  EXPECT_TRUE(open(request("out"))->resumes());
  EXPECT_TRUE(fs::exists(folder_ / "out.partial/a"));
  EXPECT_FALSE(open(request("out"), 2)->resumes());
  EXPECT_FALSE(fs::exists(folder_ / "out.partial/a"));
}

TEST_F(Output, IsWrittenByOneAtATime) {
  const auto output = open(request("out"));
  for (const bool overwrite : {false, true}) {
    try {
      open(request("out", overwrite));
      FAIL() << "expected an Error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("is being written by qloft quantize, process"));
    }
  }
}

TEST_F(Output, WhatCameInItsPlaceMeanwhileStays) {
  for (const bool overwrite : {false, true}) {
    const auto output = open(request("out", overwrite));
    make("out/a");
    if (overwrite) {
      output->commit();
    } else {
      EXPECT_THROW(output->commit(), InputError);
    }
    EXPECT_EQ(fs::exists(folder_ / "out/a"), !overwrite);
  }
  auto file = request("file");
  file.kind = OutputRequest::Kind::file;
  const auto output = open(file);
  write_file(output->path() / "a", "x");
  make("file");
  EXPECT_THROW(output->commit_file("a"), InputError);
  EXPECT_EQ(read_file(folder_ / "file"), "precious");
}

TEST_F(Output, IsNotBuiltWhereAnotherOneIs) {
  const auto output = open(request("out"));
  for (const char* name : {"out.partial", "out.partial/in", "out.partial/in/deep"}) {
    EXPECT_THAT(refusal_of(request(name, true)), HasSubstr("unfinished")) << name;
  }
}

TEST_F(Output, WhatHasNoMarkIsNeverRemoved) {
  for (const char* name : {"out.old/a", "out.partial/a", "out.work/a"}) make(name);
  for (const bool overwrite : {false, true}) {
    EXPECT_THROW(open(request("out", overwrite)), InputError);
  }
  fs::rename(folder_ / "out.partial", folder_ / "moved");
  open(request("out"))->commit();
  for (const char* name : {"out.old/a", "moved/a", "out.work/a"}) {
    EXPECT_TRUE(fs::exists(folder_ / name)) << name;
  }
}

TEST_F(Output, AnotherCommandsRunIsRemovedOnRequestOnly) {
  make("out.partial/a");
  FileLock(folder_ / "out.partial/.qloft-lock", folder_.path()).sign("finetune");
  EXPECT_THROW(open(request("out")), InputError);
  EXPECT_TRUE(fs::exists(folder_ / "out.partial/a"));
  open(request("out", true));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial/a"));
}

TEST_F(Output, AFolderThatAKillLeftWithItsMarksIsTakenUpByItsOwnCommandOnly) {
  {
    const auto output = open(request("out"));
    write_file(output->path() / "a", "x");
    output->keep();
  }
  fs::rename(folder_ / "out.partial", folder_ / "out");
  EXPECT_THROW(open(request("out"), 2), InputError);
  EXPECT_TRUE(fs::exists(folder_ / "out/a"));
  EXPECT_TRUE(open(request("out"))->resumes());
}

TEST_F(Output, WhatIsBeingReplacedComesBackAfterAKill) {
  make("out.qloft-old/a");
  EXPECT_THROW(open(request("out")), InputError);
  EXPECT_TRUE(fs::exists(folder_ / "out/a"));
  open(request("out", true))->commit();
  EXPECT_TRUE(fs::is_empty(folder_ / "out"));
  EXPECT_FALSE(fs::exists(folder_ / "out.qloft-old"));
}

TEST_F(Output, WhatCannotBePutInPlaceIsRefusedBeforeWork) {
  make("file");
  make("full/a");
  make("model/adapter/a");
  fs::create_directory_symlink(folder_ / "model", folder_ / "link");
  using Kind = OutputRequest::Kind;
  struct {
    const char* output;
    Kind kind;
    bool overwrite;
    const char* input;
    const char* refusal;
  } const cases[] = {
      {".", Kind::folder, true, "", "expected the name of a folder"},
      {"full/..", Kind::folder, true, "", "expected the name of a folder"},
      {"file", Kind::folder, true, "", "is not a folder"},
      {"file/out", Kind::folder, false, "", "expected a folder, found a file"},
      {"full", Kind::folder, false, "", "is not empty"},
      {"full", Kind::file, true, "", "expected a file to write, found a folder"},
      {"full/", Kind::file, true, "", "expected a file to write, found a folder"},
      {"file", Kind::file, false, "", "is there already"},
      {"file", Kind::file, true, "file", "holds no input"},
      {"model", Kind::folder, true, "model", "holds no input"},
      {"model", Kind::folder, true, "model/adapter", "holds no input"},
      {"model", Kind::folder, true, "link/adapter", "holds no input"},
      {"link", Kind::folder, true, "model/adapter", "holds no input"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(std::string(c.output) + " " + c.input);
    OutputRequest wanted = request(c.output, c.overwrite);
    wanted.kind = c.kind;
    if (*c.input != '\0') wanted.inputs = {folder_ / c.input};
    try {
      expect_output(wanted);
      ADD_FAILURE() << "expected an InputError";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(c.refusal));
    }
  }
  EXPECT_TRUE(fs::exists(folder_ / "model/adapter/a"));
}

TEST_F(Output, ANameThatLeavesNoRoomForItsMarksIsRefusedBeforeWork) {
  for (const std::size_t length : {245U, 246U, 255U, 300U}) {
    const std::string name(length, 'n');
    const std::string refusal = refusal_of(request(name));
    if (length <= 245) {
      EXPECT_EQ(refusal, "");
    } else {
      EXPECT_THAT(refusal, HasSubstr("at most 245 bytes, found " + std::to_string(length)));
    }
  }
}

TEST_F(Output, APlaceThatIsWrittenInIsHeldToTheSame) {
  make("other.partial/.qloft-lock");
  const std::string deep = std::string(200, 'd') + "/";
  std::string far;
  while (far.size() < 3900) far += deep;
  const std::pair<std::string, const char*> cases[] = {
      {std::string(246, 'n'), "expected a name of at most 245 bytes, found 246"},
      {far, "expected a path of at most 3840 bytes, found"},
      {"results.partial", "expected a name without .partial"},
      {"results.partial/", "expected a name without .partial"},
      {"other.partial/results", "expected no output in an unfinished one"},
  };
  EXPECT_EQ(test::refusal([&] { expect_place(folder_ / "results"); }), "accepted");
  for (const auto& [place, refusal] : cases) {
    EXPECT_THAT(test::refusal([&] { expect_place(folder_ / place); }), HasSubstr(refusal));
  }
}

TEST(HoldsOnlyMarks, IsFalseWhereAFolderCannotBeRead) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(holds_only_marks(folder.path()));
  write_file(folder / "a.qloft-tmp", "");
  EXPECT_TRUE(holds_only_marks(folder.path()));
  EXPECT_FALSE(holds_only_marks(folder / "a.qloft-tmp"));
}

TEST_F(Output, WhatIsNoFileInPlaceOfItsLockIsNamed) {
  const fs::path staging = folder_ / "out.partial", lock = staging / ".qloft-lock";
  const std::pair<const char*, std::function<void()>> cases[] = {
      {"a named pipe", [&] { ::mkfifo(lock.c_str(), 0600); }},
      {"a link that leads nowhere", [&] { fs::create_symlink("nowhere", lock); }},
      {"a link to a file", [&] { fs::create_symlink("../file", lock); }},
      {"a folder", [&] { fs::create_directory(lock); }},
  };
  make("file");
  for (const auto& [name, put] : cases) {
    fs::remove_all(staging);
    fs::create_directory(staging);
    put();
    EXPECT_THAT(refusal_of(request("out")),
                HasSubstr("out.partial/.qloft-lock: expected a regular file or none"))
        << name;
  }
  EXPECT_EQ(read_file(folder_ / "file"), "precious");
}

TEST_F(Output, AFileThatAKillLeftInItsPlaceIsFinished) {
  OutputRequest wanted = request("s");
  wanted.kind = OutputRequest::Kind::file;
  {
    const auto output = open(wanted);
    output->journal().add({{"finished", "data"}});
    output->journal().flush();
    output->keep();
  }
  make("s");
  const auto output = open(wanted);
  EXPECT_TRUE(output->finished());
  output->commit_file("data");
  EXPECT_EQ(read_file(folder_ / "s"), "precious");
  EXPECT_FALSE(fs::exists(folder_ / "s.partial"));
}

}  // namespace
}  // namespace qloft::pipeline
