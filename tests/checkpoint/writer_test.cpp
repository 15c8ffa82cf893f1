#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "temporary_folder.h"

namespace qloft::checkpoint {
namespace {

namespace fs = std::filesystem;

// Four tensors of 8 bytes; tensor k holds {k, k}.
std::vector<io::TensorInfo> four() {
  std::vector<io::TensorInfo> tensors;
  for (const char* name : {"d", "c", "b", "a"}) tensors.push_back({name, ElementType::f32, {2}});
  return tensors;
}

void write(Writer& writer, const std::string& name) {
  const float values[] = {static_cast<float>(name[0]), static_cast<float>(name[0])};
  writer.write(name, std::as_bytes(std::span(values)));
}

void expect_whole(const fs::path& folder) {
  write_file(folder / "config.json", "{}");
  const Checkpoint checkpoint(folder);
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"a", "b", "c", "d"}));
  for (const std::string& name : checkpoint.names()) {
    EXPECT_EQ(checkpoint.read_matrix(name)(0, 1), static_cast<float>(name[0]));
  }
  EXPECT_FALSE(fs::exists(folder / ".written"));
}

TEST(CheckpointWriter, WritesOneFileWhereItFits) {
  const test::TemporaryFolder folder;
  Writer writer(folder.path(), four(), Writer::Mode::create);
  for (const char* name : {"a", "c", "b", "d"}) write(writer, name);
  writer.finish();
  EXPECT_TRUE(fs::exists(folder / "model.safetensors"));
  EXPECT_FALSE(fs::exists(folder / "model.safetensors.index.json"));
  EXPECT_EQ(io::SafetensorsFile(folder / "model.safetensors").metadata().at("format"), "pt");
  expect_whole(folder.path());
}

TEST(CheckpointWriter, CutsShardsInTheGivenOrder) {
  const test::TemporaryFolder folder;
  Writer writer(folder.path(), four(), Writer::Mode::create, 20);
  for (const char* name : {"a", "c", "b", "d"}) write(writer, name);
  writer.finish();
  const io::Json index = io::read_json(folder / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 32);
  EXPECT_EQ(index["weight_map"]["d"], "model-00001-of-00002.safetensors");
  EXPECT_EQ(index["weight_map"]["c"], "model-00001-of-00002.safetensors");
  EXPECT_EQ(index["weight_map"]["a"], "model-00002-of-00002.safetensors");
  expect_whole(folder.path());
}

TEST(CheckpointWriter, GivesATensorAboveTheLimitAShardOfItsOwn) {
  const test::TemporaryFolder folder;
  Writer writer(folder.path(), four(), Writer::Mode::create, 1);
  for (const char* name : {"a", "c", "b", "d"}) write(writer, name);
  writer.finish();
  EXPECT_TRUE(fs::exists(folder / "model-00004-of-00004.safetensors"));
  expect_whole(folder.path());
}

TEST(CheckpointWriter, ResumesAfterTheLastJournalEntry) {
  const test::TemporaryFolder folder;
  {
    Writer writer(folder.path(), four(), Writer::Mode::create, 20);
    write(writer, "a");
    write(writer, "d");
    writer.checkpoint();
    write(writer, "b");  // not in the journal: an interruption may have lost it
  }
  Writer writer(folder.path(), four(), Writer::Mode::resume, 20);
  EXPECT_TRUE(writer.written("a"));
  EXPECT_TRUE(writer.written("d"));
  EXPECT_FALSE(writer.written("b"));
  EXPECT_THROW(writer.finish(), Error);
  write(writer, "b");
  write(writer, "c");
  writer.finish();
  expect_whole(folder.path());
}

TEST(CheckpointWriter, PassesOverATornJournalLine) {
  const test::TemporaryFolder folder;
  {
    Writer writer(folder.path(), four(), Writer::Mode::create);
    write(writer, "a");
    writer.checkpoint();
  }
  std::ofstream(folder / ".written", std::ios::app) << "\"b";
  {
    Writer writer(folder.path(), four(), Writer::Mode::resume);
    EXPECT_TRUE(writer.written("a"));
    EXPECT_FALSE(writer.written("b"));
    write(writer, "c");
    writer.checkpoint();
  }
  Writer writer(folder.path(), four(), Writer::Mode::resume);
  EXPECT_TRUE(writer.written("a"));
  EXPECT_TRUE(writer.written("c"));
  EXPECT_FALSE(writer.written("b"));
}

TEST(CheckpointWriter, BeginsAnewWhereTheTensorsDiffer) {
  const test::TemporaryFolder folder;
  {
    Writer writer(folder.path(), {{"a", ElementType::f32, {3}}}, Writer::Mode::create);
    const float values[3] = {};
    writer.write("a", std::as_bytes(std::span(values)));
    writer.checkpoint();
  }
  Writer writer(folder.path(), four(), Writer::Mode::resume);
  EXPECT_FALSE(writer.written("a"));
}

TEST(CheckpointWriter, ResumesInAnEmptyFolder) {
  const test::TemporaryFolder folder;
  Writer writer(folder.path(), four(), Writer::Mode::resume);
  EXPECT_FALSE(writer.written("a"));
}

TEST(CheckpointWriter, RefusesUnknownAndDuplicateNames) {
  const test::TemporaryFolder folder;
  Writer writer(folder.path(), four(), Writer::Mode::create);
  EXPECT_THROW(writer.write("e", {}), Error);
  std::vector<io::TensorInfo> twice = four();
  twice.push_back(twice[0]);
  EXPECT_THROW(Writer(folder.path(), twice, Writer::Mode::create), Error);
}

}  // namespace
}  // namespace qloft::checkpoint
