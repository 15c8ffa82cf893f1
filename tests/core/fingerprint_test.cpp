#include "qloft/core/fingerprint.h"

#include <gtest/gtest.h>

#include <set>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/threads.h"
#include "temporary_folder.h"

namespace qloft {
namespace {

TEST(Fingerprint, IsOfTheContentsAlone) {
  const test::TemporaryFolder folder;
  // Longer than the parts that threads take, and of no round length.
  std::string content(20'000'003, 'a');
  write_file(folder / "one", content);
  write_file(folder / "two", content);
  const std::uint64_t hash = fingerprint_of_file(folder / "one");
  EXPECT_EQ(fingerprint_of_file(folder / "two"), hash);
  const int threads = thread_count();
  set_thread_count(1);
  EXPECT_EQ(fingerprint_of_file(folder / "one"), hash);
  set_thread_count(threads);
}

TEST(Fingerprint, DiffersForEveryByteAndLength) {
  const test::TemporaryFolder folder;
  std::set<std::uint64_t> seen;
  // Around whole words and whole lanes of them.
  for (const std::size_t size : {0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 65}) {
    write_file(folder / "file", std::string(size, '\0'));
    EXPECT_TRUE(seen.insert(fingerprint_of_file(folder / "file")).second) << size;
    for (std::size_t at = 0; at < size; ++at) {
      std::string content(size, '\0');
      content[at] = 1;
      write_file(folder / "file", content);
      EXPECT_TRUE(seen.insert(fingerprint_of_file(folder / "file")).second) << size << " " << at;
    }
  }
}

TEST(Fingerprint, OfNoFileIsAnError) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(fingerprint_of_file(folder / "none"), InputError);
  EXPECT_THROW(fingerprint_of_file(folder.path()), InputError);
}

// Over several chunks and pieces of them, the last ones not whole; by an earlier version, whose
// work goes on.
TEST(Fingerprint, IsWhatItWasBefore) {
  const test::TemporaryFolder folder;
  write_file(folder / "file", std::string(20'000'003, 'a'));
  EXPECT_EQ(hex(fingerprint_of_file(folder / "file")), "774e7685aa257431");
}

TEST(Fingerprint, IsTheSameOnEveryMachine) {
  EXPECT_EQ(hex(0x0123456789abcdefull), "0123456789abcdef");
  EXPECT_EQ(mix(std::uint64_t{0}, std::uint64_t{0}), 0xe220a8397b1dcdafull);  // splitmix64's first
}

}  // namespace
}  // namespace qloft
