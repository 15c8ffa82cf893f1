#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <string>

#include "malformed.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace qloft::io {
namespace {

using std::string_literals::operator""s;

std::vector<std::byte> counting_bytes(std::size_t count) {
  std::vector<std::byte> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::byte>(i * 7 + 1);
  return out;
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// A limit on the size of files, as a full disk gives an error in the middle of the work.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST(Safetensors, RefusesEveryMalformedFileWithOneLine) {
  const auto cases = test::malformed_cases("safetensors");
  ASSERT_GE(cases.size(), 40u);
  for (const auto& [path, expected] : cases) {
    SCOPED_TRACE(path);
    try {
      const SafetensorsFile file(path);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& error) {
      const std::string line = error.what();
      EXPECT_TRUE(line.starts_with(path.string() + ": ")) << line;
      EXPECT_NE(line.find(expected), std::string::npos) << line;
    }
  }
}

TEST(Safetensors, RefusesEveryTruncationOfASoundFile) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(12);
  const NamedBytes tensors[] = {{{"a", ElementType::f32, {1, 3}}, bytes}};
  write_safetensors(folder / "whole", tensors);
  const std::string whole = read_file(folder / "whole");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(folder / "cut", std::ios::binary) << whole.substr(0, size);
    EXPECT_THROW(SafetensorsFile(folder / "cut"), InputError) << size;
  }
}

TEST(Safetensors, ReadsScalarsAndEmptyTensors) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(8);
  const NamedBytes tensors[] = {{{"empty", ElementType::bf16, {0, 5}}, {}},
                                {{"scalar", ElementType::f64, {}}, bytes},
                                {{"also empty", ElementType::f32, {3, 0}}, {}}};
  write_safetensors(folder / "x", tensors, {{"format", "pt"}});
  const SafetensorsFile file(folder / "x");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.find("scalar")->element_count(), 1);
  EXPECT_TRUE(equal(file.bytes(*file.find("scalar")), bytes));
  EXPECT_EQ(file.find("empty")->shape, (std::vector<std::int64_t>{0, 5}));
  EXPECT_TRUE(file.bytes(*file.find("empty")).empty());
  EXPECT_EQ(file.find("none"), nullptr);
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

TEST(Safetensors, ReadsAFileWithoutTensors) {
  const test::TemporaryFolder folder;
  write_safetensors(folder / "x", {});
  EXPECT_TRUE(SafetensorsFile(folder / "x").tensors().empty());
}

TEST(Safetensors, AlignsEveryTensorToItsType) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(24);
  const std::span<const std::byte> all(bytes);
  const NamedBytes tensors[] = {{{"codes", ElementType::u8, {3}}, all.first(3)},
                                {{"half", ElementType::f16, {1}}, all.first(2)},
                                {{"wide", ElementType::f64, {2}}, all.first(16)},
                                {{"float", ElementType::f32, {1}}, all.first(4)}};
  write_safetensors(folder / "x", tensors);
  const SafetensorsFile file(folder / "x");
  for (const TensorInfo& info : file.tensors()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.bytes(info).data()) % byte_size(info.type), 0u)
        << info.name;
    EXPECT_TRUE(equal(file.bytes(info), all.first(info.bytes()))) << info.name;
  }
}

TEST(Safetensors, ReadsBytesAgainAfterADrop) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(100'000);
  const NamedBytes tensors[] = {{{"a", ElementType::u8, {100'000}}, bytes}};
  write_safetensors(folder / "x", tensors);
  const SafetensorsFile file(folder / "x");
  file.drop(file.tensors()[0]);
  EXPECT_TRUE(equal(file.bytes(file.tensors()[0]), bytes));
}

TEST(Safetensors, WritesTensorsInAnyOrder) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(40);
  SafetensorsWriter writer(folder / "x",
                           {{"a", ElementType::f32, {2, 2}}, {"b", ElementType::f16, {3}}},
                           {{"format", "pt"}});
  writer.write("b", std::span(bytes).first(6));
  writer.write("a", std::span(bytes).first(16));
  writer.flush();
  const SafetensorsFile file(folder / "x");
  EXPECT_TRUE(equal(file.bytes(*file.find("a")), std::span(bytes).first(16)));
  EXPECT_TRUE(equal(file.bytes(*file.find("b")), std::span(bytes).first(6)));
}

TEST(Safetensors, WriterRefusesAnotherSizeOrName) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(40);
  SafetensorsWriter writer(folder / "x", {{"a", ElementType::f32, {2}}}, {});
  EXPECT_THROW(writer.write("a", std::span(bytes).first(7)), Error);
  EXPECT_THROW(writer.write("b", std::span(bytes).first(8)), Error);
  EXPECT_THROW(SafetensorsWriter(folder / "y",
                                 {{"a", ElementType::f32, {}}, {"a", ElementType::f32, {}}}, {}),
               Error);
}

TEST(Safetensors, ReopensOnlyItsOwnFile) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(16);
  const std::vector<TensorInfo> tensors = {{"a", ElementType::f32, {2}},
                                           {"b", ElementType::f32, {2}}};
  SafetensorsWriter(folder / "x", tensors, {}).write("a", std::span(bytes).first(8));
  SafetensorsWriter(folder / "x", tensors, {}, SafetensorsWriter::Mode::reopen)
      .write("b", std::span(bytes).last(8));
  const SafetensorsFile file(folder / "x");
  EXPECT_TRUE(equal(file.bytes(*file.find("a")), std::span(bytes).first(8)));
  EXPECT_TRUE(equal(file.bytes(*file.find("b")), std::span(bytes).last(8)));

  const auto reopen = [&](const std::string& name, std::vector<TensorInfo> other) {
    SafetensorsWriter(folder / name, std::move(other), {}, SafetensorsWriter::Mode::reopen);
  };
  EXPECT_THROW(reopen("x", {tensors[0]}), InputError);
  EXPECT_THROW(reopen("missing", tensors), InputError);
}

TEST(Safetensors, FindsAFullDiskBeforeAnyTensorIsWritten) {
  const test::TemporaryFolder folder;
  const FileSizeLimit limit(4096);
  try {
    SafetensorsWriter writer(folder / "x", {{"a", ElementType::f32, {100'000}}}, {});
    FAIL();
  } catch (const SystemError& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with((folder / "x").string() + ": cannot "))
        << error.what();
  }
}

TEST(Safetensors, AWholeFileThatDoesNotFitLeavesTheOldOne) {
  const test::TemporaryFolder folder;
  const auto bytes = counting_bytes(100'000);
  const NamedBytes small[] = {{{"a", ElementType::u8, {4}}, std::span(bytes).first(4)}};
  const NamedBytes large[] = {{{"a", ElementType::u8, {100'000}}, bytes}};
  write_safetensors(folder / "x", small);
  {
    const FileSizeLimit limit(4096);
    EXPECT_THROW(write_safetensors(folder / "x", large), SystemError);
  }
  EXPECT_EQ(SafetensorsFile(folder / "x").tensors()[0].bytes(), 4u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(MappedFile, MapsAnEmptyFileToNothing) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "x");
  const MappedFile file(folder / "x");
  EXPECT_TRUE(file.bytes().empty());
  file.drop(file.bytes());
}

TEST(SafetensorsWriter, DoesNotWriteThroughALink) {
  const test::TemporaryFolder folder;
  std::filesystem::create_symlink("elsewhere", folder / "x");
  EXPECT_THROW(SafetensorsWriter(folder / "x", {{"a", ElementType::f32, {2}}}, {}), SystemError);
  EXPECT_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

TEST(MappedFile, RefusesWhatIsNotARegularFile) {
  const test::TemporaryFolder folder;
  for (const std::string& path : {"/dev/null"s, "/"s, (folder / "missing").string()}) {
    EXPECT_THROW(MappedFile{path}, InputError) << path;
  }
}

TEST(MappedFile, MovesWithItsBytes) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "x") << "abc";
  MappedFile first(folder / "x");
  MappedFile second(std::move(first));
  EXPECT_EQ(second.bytes().size(), 3u);
  first = std::move(second);
  EXPECT_EQ(first.bytes()[2], std::byte{'c'});
}

}  // namespace
}  // namespace qloft::io
