#include "../../src/train/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "../../src/train/crc32c.h"
#include "qloft/core/file.h"
#include "temporary_folder.h"

namespace qloft::train {
namespace {

// RFC 3720, B.4.
TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The data of each record; checks the framing.
std::vector<std::string> records_of(std::string_view bytes) {
  std::vector<std::string> records;
  while (!bytes.empty()) {
    std::uint64_t length;
    std::memcpy(&length, bytes.data(), sizeof length);
    EXPECT_EQ(u32_at(bytes, 8), masked_crc32c(bytes.substr(0, 8)));
    const auto data = bytes.substr(12, length);
    EXPECT_EQ(u32_at(bytes, 12 + length), masked_crc32c(data));
    records.emplace_back(data);
    bytes.remove_prefix(16 + length);
  }
  return records;
}

TEST(EventRecord, HoldsOneScalarByteForByte) {
  // 09 wall_time double | 10 step varint | 2a summary { 0a value { 0a tag, 15 simple_value } }
  const std::string wanted = std::string("\x09\x00\x00\x00\x00\x00\x00\x00\x40", 9) +
                             "\x10\xac\x02" + "\x2a\x0d\x0a\x0b" + "\x0a\x04loss" +
                             std::string("\x15\x00\x00\xc0\x3f", 5);
  EXPECT_THAT(records_of(scalars_record(2.0, 300, {{"loss", 1.5f}})),
              ::testing::ElementsAre(wanted));
}

TEST(EventRecord, NamesTheFileVersion) {
  EXPECT_THAT(records_of(version_record(0)),
              ::testing::ElementsAre(std::string(9, '\0').replace(0, 1, "\x09") + "\x1a\x0d"
                                                                                  "brain.Event:2"));
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  return files;
}

TEST(EventFile, HoldsTheVersionAndEachStep) {
  const test::TemporaryFolder folder;
  EventFile file(folder.path(), 0);
  file.add(1, {{"a", 1.f}, {"b", 2.f}});
  file.add(2, {{"a", 3.f}});
  const auto files = files_in(folder.path());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_THAT(files[0].filename().string(), ::testing::StartsWith("events.out.tfevents."));
  EXPECT_EQ(records_of(read_file(files[0])).size(), 3u);
}

TEST(EventFile, AResumedRunGetsAFileOfItsOwnThatSaysWhereItBegins) {
  const test::TemporaryFolder folder;
  EventFile first(folder.path(), 0);
  EventFile second(folder.path(), 8);
  const auto files = files_in(folder.path());
  ASSERT_EQ(files.size(), 2u);
  std::size_t records = 0;
  for (const auto& file : files) records += records_of(read_file(file)).size();
  EXPECT_EQ(records, 3u);
}

}  // namespace
}  // namespace qloft::train
