#include "qloft/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "malformed.h"
#include "qloft/checkpoint/weight_type.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "temporary_folder.h"

namespace qloft::checkpoint {
namespace {

std::span<const std::byte> bytes_of(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

io::TensorInfo f32(std::string name, std::vector<std::int64_t> shape) {
  return {std::move(name), ElementType::f32, std::move(shape)};
}

void write_single(const std::filesystem::path& folder) {
  const std::vector<float> matrix = {1, 2, 3, 4, 5, 6};
  const std::vector<float> vector = {7, 8, 9};
  const std::vector<std::byte> half = convert_from_f32(vector, ElementType::f16);
  const io::NamedBytes tensors[] = {{f32("m", {2, 3}), bytes_of(matrix)},
                                    {{"v", ElementType::f16, {3}}, half},
                                    {{"i", ElementType::i32, {3}}, bytes_of(vector)},
                                    {{"scaled", ElementType::f8, {3, 4}}, bytes_of(vector)},
                                    {f32("cube", {1, 2, 3}), bytes_of(matrix)}};
  io::write_safetensors(folder / "model.safetensors", tensors);
  write_file(folder / "config.json", R"({"model_type": "llama"})");
}

TEST(Checkpoint, RefusesEveryMalformedFolderWithOneLine) {
  const auto cases = test::malformed_cases("checkpoint");
  ASSERT_GE(cases.size(), 15u);
  for (const auto& [path, expected] : cases) {
    SCOPED_TRACE(path);
    try {
      const Checkpoint checkpoint(path);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& error) {
      const std::string line = error.what();
      EXPECT_TRUE(line.starts_with(path.string())) << line;
      EXPECT_NE(line.find(expected), std::string::npos) << line;
    }
  }
}

TEST(Checkpoint, ReadsMatricesAndVectorsAsF32) {
  const test::TemporaryFolder folder;
  write_single(folder.path());
  const Checkpoint checkpoint(folder.path());
  EXPECT_EQ(checkpoint.config()["model_type"], "llama");
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"cube", "i", "m", "scaled", "v"}));
  const Matrix matrix = checkpoint.read_matrix("m");
  EXPECT_EQ(matrix.rows(), 2);
  EXPECT_EQ(matrix(1, 2), 6.f);
  checkpoint.drop("m");
  const Matrix vector = checkpoint.read_matrix("v");
  EXPECT_EQ(vector.rows(), 1);
  EXPECT_EQ(vector(0, 2), 9.f);
}

TEST(Checkpoint, NamesTheTensorThatIsMissingOrUnfit) {
  const test::TemporaryFolder folder;
  write_single(folder.path());
  const Checkpoint checkpoint(folder.path());
  const std::pair<const char*, const char*> cases[] = {
      {"none", ": none: no such tensor"},
      {"i", "/model.safetensors: i: expected elements of type F32, F16 or BF16, found I32"},
      // Weights of 8 bits have scales beside them, which are not read.
      {"scaled",
       "/model.safetensors: scaled: expected elements of type F32, F16 or BF16, found F8_E4M3"},
      {"cube", "/model.safetensors: cube: expected 1 or 2 dimensions, found 3"}};
  for (const auto& [name, expected] : cases) {
    try {
      checkpoint.read_matrix(name);
      ADD_FAILURE() << name;
    } catch (const InputError& error) {
      EXPECT_EQ(error.what(), folder.path().string() + expected);
    }
  }
}

TEST(Checkpoint, ReadsTensorsThatTheIndexForgets) {
  const test::TemporaryFolder folder;
  const std::vector<float> value = {3};
  const io::NamedBytes tensors[] = {{f32("a", {1}), bytes_of(value)},
                                    {f32("b", {1}), bytes_of(value)}};
  io::write_safetensors(folder / "s.safetensors", tensors);
  write_file(folder / "config.json", "{}");
  write_file(folder / "model.safetensors.index.json", R"({"weight_map": {"a": "s.safetensors"}})");
  EXPECT_EQ(Checkpoint(folder.path()).names(), (std::vector<std::string>{"a", "b"}));
}

// Every f16 value, and its neighbours in f32, through the definitions in core.
TEST(Convert, AgreesWithCoreOnEveryHalf) {
  std::vector<std::uint16_t> halves(1 << 16);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> values(halves.size());
  for (const ElementType type : {ElementType::f16, ElementType::bf16}) {
    convert_to_f32(std::as_bytes(std::span(halves)), type, values);
    for (std::size_t i = 0; i < halves.size(); ++i) {
      const float expected =
          type == ElementType::f16 ? Float16{halves[i]}.to_float() : BFloat16{halves[i]}.to_float();
      std::uint32_t a, b;
      std::memcpy(&a, &values[i], 4);
      std::memcpy(&b, &expected, 4);
      ASSERT_EQ(a, b) << safetensors_name(type) << " " << i;
    }
    std::vector<std::byte> back = convert_from_f32(values, type);
    for (std::size_t i = 0; i < halves.size(); ++i) {
      std::uint16_t half;
      std::memcpy(&half, back.data() + 2 * i, 2);
      if (std::isnan(values[i])) continue;
      ASSERT_EQ(half, halves[i]);
    }
  }
}

TEST(Convert, AgreesWithCoreOnEveryFloat8) {
  std::vector<std::byte> codes;
  for (int i = 0; i < 256; ++i) codes.push_back(static_cast<std::byte>(i));
  std::vector<float> values(codes.size());
  convert_to_f32(codes, ElementType::f8, values);
  EXPECT_EQ(convert_from_f32(values, ElementType::f8), codes);
  EXPECT_EQ(values[0x7e], 448.f);
}

TEST(Convert, ReadsFromAnyAddress) {
  const float value = 1.5f;
  std::vector<std::byte> bytes(9);
  std::memcpy(bytes.data() + 1, &value, 4);
  std::memcpy(bytes.data() + 5, &value, 4);
  std::vector<float> out(2);
  convert_to_f32(std::span(bytes).subspan(1), ElementType::f32, out);
  EXPECT_EQ(out, (std::vector<float>{1.5f, 1.5f}));
}

TEST(Convert, RefusesOtherTypes) {
  std::vector<float> values(2);
  EXPECT_THROW(convert_to_f32(bytes_of({1, 2}), ElementType::i32, values), InputError);
  EXPECT_THROW(convert_from_f32(values, ElementType::u8), InputError);
}

TEST(CopyCompanions, CopiesTokenizerFilesAndLeavesTheRest) {
  const test::TemporaryFolder from, to;
  for (const char* name : {"tokenizer.json", "chat_template.jinja", "README.md", "config.json"}) {
    write_file(from / name, name);
  }
  copy_companions(from.path(), to.path());
  EXPECT_EQ(read_file(to / "tokenizer.json"), "tokenizer.json");
  EXPECT_TRUE(std::filesystem::exists(to / "chat_template.jinja"));
  EXPECT_FALSE(std::filesystem::exists(to / "README.md"));
  EXPECT_FALSE(std::filesystem::exists(to / "config.json"));
}

TEST(WeightType, IsWhatConfigSaysElseThatOfMostStoredElements) {
  const test::TemporaryFolder folder;
  write_single(folder.path());
  EXPECT_EQ(weight_type(Checkpoint(folder.path())), ElementType::f32);
  write_file(folder / "config.json", R"({"torch_dtype": "auto"})");
  EXPECT_EQ(weight_type(Checkpoint(folder.path())), ElementType::f32);
  write_file(folder / "config.json", R"({"dtype": "float16", "torch_dtype": "bfloat16"})");
  EXPECT_EQ(weight_type(Checkpoint(folder.path())), ElementType::f16);
  io::Json config = {{"torch_dtype", "float32"}};
  set_weight_type(config, ElementType::bf16);
  EXPECT_EQ(config.dump(), R"({"torch_dtype":"bfloat16"})");
}

}  // namespace
}  // namespace qloft::checkpoint
