#include "qloft/core.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>

#include "qloft/core/large_pages.h"
#include "qloft/core/text.h"

namespace qloft {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "qloft-core-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST(Error, NamesFileAndFieldInOneLine) {
  const InputError error({"model/config.json", "hidden_size"}, "expected a number,\nfound text");
  EXPECT_STREQ(error.what(), "model/config.json: hidden_size: expected a number, found text");
}

TEST(AlignedVector, BeginsAtACacheLineWhateverItsLength) {
  for (const std::size_t length : {1, 3, 33, 1000}) {
    const AlignedVector<std::int16_t> values(length);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(values.data()) % 64, 0u) << length;
  }
}

TEST(LargePages, HoldWhatIsWrittenToTheLastByte) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1} << 20, std::size_t{5} << 20}) {
    std::vector<char, LargePageAllocator<char>> memory(bytes);
    memory.back() = 7;
    EXPECT_EQ(memory[bytes / 2], bytes == 1 ? 7 : 0);
    EXPECT_EQ(memory.back(), 7);
  }
}

TEST(Checked, MultiplyThrowsWhereItWouldOverflow) {
  EXPECT_EQ(checked_multiply<std::int64_t>(6, 7, "size"), 42);
  EXPECT_THROW(checked_multiply(std::numeric_limits<std::int64_t>::max(), std::int64_t{2}, "size"),
               InputError);
}

TEST(Checked, CastThrowsOnANegativeCount) {
  EXPECT_THROW(checked_cast<std::uint32_t>(-1, "count"), InputError);
}

TEST(Element, EveryHalfSurvivesTheWayThroughFloat) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Float16 half{static_cast<std::uint16_t>(bits)};
    const float value = half.to_float();
    if (std::isnan(value)) continue;
    ASSERT_EQ(Float16::from_float(value).bits, half.bits) << bits;
  }
}

TEST(Element, BFloat16RoundsToNearestEvenAndKeepsNaN) {
  EXPECT_EQ(BFloat16::from_float(1.0f).bits, 0x3f80);
  EXPECT_EQ(BFloat16::from_float(1.00390625f).bits, 0x3f80);  // a tie goes to the even neighbour
  EXPECT_EQ(BFloat16::from_float(1.01171875f).bits, 0x3f82);  // a tie the other way
  EXPECT_TRUE(std::isnan(BFloat16::from_float(std::nanf("")).to_float()));
}

TEST(Element, EveryFloat8SurvivesTheWayThroughFloat) {
  for (std::uint32_t bits = 0; bits < 0x100; ++bits) {
    const Float8 value{static_cast<std::uint8_t>(bits)};
    ASSERT_EQ(Float8::from_float(value.to_float()).bits, value.bits) << bits;
  }
}

TEST(Element, Float8RoundsToNearestEvenAndIsNaNBeyondItsLargest) {
  struct Case {
    float value, rounded;
  };
  for (const auto& [value, rounded] :
       {Case{1.0625f, 1.f}, Case{1.1875f, 1.25f}, Case{-1.07f, -1.125f}, Case{464.f, 448.f},
        Case{0x1p-10f, 0.f}, Case{0x1.8p-9f, 0x1p-8f}, Case{-0x1.fcp-7f, -0x1p-6f}}) {
    EXPECT_EQ(Float8::from_float(value).to_float(), rounded) << value;
  }
  for (const float value : {464.1f, -HUGE_VALF, std::nanf("")}) {
    EXPECT_TRUE(std::isnan(Float8::from_float(value).to_float())) << value;
  }
}

TEST(Element, RoundedWithinItsTypeAValueIsNoGreaterThanTheLargest) {
  struct Case {
    ElementType type;
    float value, rounded;
  };
  for (const auto& [type, value, rounded] :
       {Case{ElementType::f8, 1e3f, 448.f}, Case{ElementType::f8, -HUGE_VALF, -448.f},
        Case{ElementType::f8, 1.0625f, 1.f}, Case{ElementType::f16, 1e6f, 65504.f},
        Case{ElementType::bf16, -HUGE_VALF, -0x1.fep127f},
        Case{ElementType::f32, 0x1.fffffep127f, 0x1.fffffep127f}}) {
    EXPECT_EQ(round_within(value, type), rounded) << short_name(type) << " " << value;
  }
  EXPECT_TRUE(std::isnan(round_within(std::nanf(""), ElementType::f8)));
}

TEST(Element, NamesReadBackAsTheSameType) {
  for (ElementType type :
       {ElementType::f64, ElementType::f32, ElementType::f16, ElementType::bf16, ElementType::f8,
        ElementType::i64, ElementType::u8, ElementType::boolean}) {
    EXPECT_EQ(element_type_from_safetensors(safetensors_name(type)), type);
    EXPECT_EQ(element_type_from_short_name(short_name(type)), type);
  }
  EXPECT_FALSE(element_type_from_safetensors("F8_E5M2"));
}

TEST(Random, OneSeedGivesTheSameNumbersForEver) {
  Random random(42);
  EXPECT_EQ(random.next(), 1865750160070900731ull);
  EXPECT_EQ(random.next(), 6791145067590612263ull);
}

TEST(Random, NormalHasMeanZeroAndDeviationOne) {
  Random random(7);
  double sum = 0, squares = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.02);
  EXPECT_NEAR(squares / kCount, 1.0, 0.02);
}

TEST(Random, StreamsOfOneSeedDiffer) {
  EXPECT_NE(Random(1, 0).next(), Random(1, 1).next());
}

TEST(ParallelFor, VisitsEveryIndexOnce) {
  for (std::int64_t count : {0, 1, 7, 64, 1000}) {
    std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
    parallel_for(count, 7, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    for (const auto& v : visits) ASSERT_EQ(v, 1);
  }
}

// Most end before a worker has seen them: none may be taken up by it, or forgotten, after that.
TEST(ParallelFor, ManyShortOnesFollowEachOtherOnMoreThreadsThanProcessors) {
  const int before = thread_count();
  set_thread_count(16);
  std::int64_t sum = 0;
  for (std::int64_t round = 0; round < 2000; ++round) {
    std::vector<std::int64_t> values(3);
    parallel_for(std::ssize(values), 1, [&](std::int64_t begin, std::int64_t) {
      values[static_cast<std::size_t>(begin)] = round;
    });
    for (const std::int64_t value : values) sum += value;
  }
  set_thread_count(before);
  EXPECT_EQ(sum, 3 * 1999 * 2000 / 2);
}

TEST(ParallelFor, RethrowsTheBodysException) {
  EXPECT_THROW(parallel_for(100, 1,
                            [](std::int64_t begin, std::int64_t) {
                              if (begin == 50) throw InputError("fifty");
                            }),
               InputError);
}

TEST(Threads, ACountBelowOneIsRefused) {
  EXPECT_THROW(set_thread_count(0), InputError);
}

using FileTest = TemporaryFolder;

TEST_F(FileTest, AnUncommittedFileLeavesNothing) {
  {
    AtomicFile file(folder_ / "a");
    file.append("half");
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(FileTest, ACommittedFileReplacesTheOldOne) {
  write_file(folder_ / "a", "old");
  write_file(folder_ / "a", "new");
  EXPECT_EQ(read_file(folder_ / "a"), "new");
}

TEST_F(FileTest, ReadingAMissingFileNamesIt) {
  try {
    read_file(folder_ / "nothing");
    FAIL() << "expected an InputError";
  } catch (const InputError& error) {
    EXPECT_EQ(error.location().file, folder_ / "nothing");
  }
}

TEST_F(FileTest, WhatIsNoFileIsWrongInputAndNotAFailure) {
  fs::create_symlink("loop", folder_ / "loop");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string socket = folder_ / "socket";
  socket.copy(address.sun_path, sizeof address.sun_path - 1);
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(descriptor);
  for (const std::string& name : {std::string("loop"), std::string("pipe"), std::string("socket"),
                                  std::string("."), std::string(300, 'n')}) {
    EXPECT_THROW(read_file(folder_ / name), InputError) << name;
  }
}

TEST_F(FileTest, WhatIsNoFileInTheWayOfANewOneIsNamed) {
  const fs::path way = folder_ / ("a" + std::string(kUnfinished));
  ASSERT_EQ(::mkfifo(way.c_str(), 0600), 0);
  try {
    write_file(folder_ / "a", "new");
    FAIL() << "expected an InputError";
  } catch (const InputError& error) {
    EXPECT_EQ(error.location().file, way);
  }
}

TEST_F(FileTest, AFileAbove4GiBIsRefusedBeforeItIsRead) {
  constexpr std::uintmax_t kMost = std::uintmax_t{1} << 32;
  std::ofstream(folder_ / "long") << "a";
  fs::resize_file(folder_ / "long", kMost + 1);  // a hole: it takes no room
  try {
    read_file(folder_ / "long");
    FAIL() << "expected an InputError";
  } catch (const InputError& error) {
    EXPECT_TRUE(
        std::string(error.what()).ends_with("expected at most 4294967296 bytes, found 4294967297"))
        << error.what();
  }
}

TEST_F(FileTest, AFileThatAKilledProcessLeftIsWrittenOver) {
  std::ofstream(folder_ / ("a" + std::string(kUnfinished))) << "much longer than what follows";
  write_file(folder_ / "a", "new");
  EXPECT_EQ(read_file(folder_ / "a"), "new");
  EXPECT_FALSE(fs::exists(folder_ / ("a" + std::string(kUnfinished))));
}

TEST_F(FileTest, ALockIsHadByOneAndNamesIt) {
  FileLock lock(folder_ / "lock", folder_ / "out");
  lock.sign("quantize");
  EXPECT_EQ(signature(folder_ / "lock"), "quantize");
  try {
    FileLock second(folder_ / "lock", folder_ / "out");
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.location().file, folder_ / "out");
    EXPECT_NE(
        std::string(error.what())
            .find("is being written by qloft quantize, process " + std::to_string(::getpid())),
        std::string::npos);
  }
}

TEST_F(FileTest, ALockEndsWithItsObject) {
  { FileLock lock(folder_ / "lock", folder_); }
  EXPECT_NO_THROW(FileLock(folder_ / "lock", folder_));
}

TEST(Cpu, ThePortableSetIsAlwaysSupported) {
  EXPECT_EQ(supported_instruction_sets().front(), InstructionSet::portable);
}

TEST(Memory, ThePeakIsAtLeastWhatIsResident) {
  EXPECT_GE(peak_resident_bytes(), resident_bytes());
  EXPECT_GT(resident_bytes(), 0u);
}

TEST(Text, ListsAlternativesAndEscapesHtml) {
  EXPECT_EQ(alternatives({"a"}), "a");
  EXPECT_EQ(alternatives({"a", "b", "c"}), "a, b or c");
  EXPECT_EQ(html_escaped("<a b=\"c\">&'"), "&lt;a b=&#34;c&#34;&gt;&amp;&#39;");
}

TEST(NearestName, FindsWhatWasMeant) {
  const std::vector<std::string> known = {"--bits", "--block", "--rank", "--iterations"};
  EXPECT_EQ(nearest_name("--bit", known), "--bits");
  EXPECT_EQ(nearest_name("--iteratoins", known), "--iterations");
  EXPECT_EQ(nearest_name("--rnak", known), "--rank");
  EXPECT_EQ(nearest_name("--completely-different", known), "");
  EXPECT_EQ(nearest_name("max", {"absmax", "mse"}), "");  // half of the letters are others
  EXPECT_EQ(suggestion("--rnak", known), "; did you mean --rank?");
}

}  // namespace
}  // namespace qloft
