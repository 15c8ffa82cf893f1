#include "qloft/quantized.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "malformed.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "sample.h"
#include "temporary_folder.h"

namespace qloft::quantized {
namespace {

namespace fs = std::filesystem;

bool same_bytes(const quant::PackedMatrix& a, const quant::PackedMatrix& b) {
  for (std::size_t i = 0; i < a.parts().size(); ++i) {
    if (!std::equal(a.bytes(i).begin(), a.bytes(i).end(), b.bytes(i).begin(), b.bytes(i).end())) {
      return false;
    }
  }
  return a.parts().size() == b.parts().size();
}

// Writes the parts of sample matrix `index` as they are in `packed`, with changes by `change`.
template <typename Change>
std::string read_error(std::size_t index, const Change& change) {
  const test::TemporaryFolder folder;
  const MatrixEntry entry{test::sample_formats()[index], 5, 70};
  auto packed = quant::quantize(test::sample_weight(index).view(), entry.format);
  std::vector<io::TensorInfo> infos = tensors_of("w", entry);
  change(infos, packed);
  std::vector<io::NamedBytes> tensors;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    tensors.push_back({infos[i], packed.bytes(i).first(infos[i].bytes())});
  }
  io::write_safetensors(folder / "model.safetensors", tensors);
  write_file(folder / "config.json", "{}");
  try {
    read_matrix(checkpoint::Checkpoint(folder.path()), "w", entry);
  } catch (const InputError& error) {
    const std::string line = error.what();
    return line.substr(folder.path().string().size());
  }
  return "accepted";
}

TEST(Quantized, ReadsEveryFormatAsItWasWritten) {
  const test::TemporaryFolder folder;
  test::write_sample(folder.path());
  const checkpoint::Checkpoint source(folder.path());
  const auto config = read_config(source);
  ASSERT_TRUE(config);
  const auto formats = test::sample_formats();
  ASSERT_EQ(config->matrices.size(), formats.size());
  for (std::size_t i = 0; i < formats.size(); ++i) {
    const MatrixEntry& entry = config->matrices.at(test::sample_name(i));
    EXPECT_EQ(entry.format, formats[i]) << formats[i].describe();
    const auto packed = read_matrix(source, test::sample_name(i), entry);
    EXPECT_TRUE(same_bytes(packed, quant::quantize(test::sample_weight(i).view(), formats[i])))
        << formats[i].describe();
  }
}

TEST(Quantized, WritesEqualFormatsOnce) {
  QuantizationConfig config;
  config.matrices["a.weight"] = {{}, 4, 64};
  config.matrices["b.weight"] = {{.bits = 2, .second_level = {}}, 4, 64};
  config.matrices["c.weight"] = {{}, 8, 64};
  const io::Json json = to_json(config);
  EXPECT_EQ(json["formats"].size(), 2u);
  EXPECT_EQ(json["matrices"]["c.weight"].dump(), R"({"format":0,"shape":[8,64]})");
}

TEST(Quantized, FindsNoConfigurationInAPlainModel) {
  const test::TemporaryFolder folder;
  io::write_safetensors(folder / "model.safetensors", {});
  for (const char* config : {"{}", R"({"quantization_config": null})"}) {
    write_file(folder / "config.json", config);
    EXPECT_FALSE(read_config(checkpoint::Checkpoint(folder.path())));
  }
}

TEST(Quantized, RefusesEveryMalformedConfigurationWithOneLine) {
  const auto cases = test::malformed_cases("quantized");
  ASSERT_GE(cases.size(), 30u);
  for (const auto& [path, expected] : cases) {
    SCOPED_TRACE(path);
    try {
      config_from_json(io::read_json(path), path);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& error) {
      const std::string line = error.what();
      EXPECT_TRUE(line.starts_with(path.string() + ": ")) << line;
      EXPECT_NE(line.find(expected), std::string::npos) << line;
    }
  }
}

TEST(Quantized, NamesThePartThatIsMissingOrOfAnotherShape) {
  EXPECT_EQ(read_error(0, [](auto& infos, auto&) { infos.pop_back(); }),
            ": w.scales: expected this part of a packed matrix, found none");
  EXPECT_EQ(read_error(0,
                       [](auto& infos, auto&) {
                         infos[1].shape = {1, 10};
                       }),
            ": w.scales: expected F32 [5, 2] by config.json, found F32 [1, 10]");
  EXPECT_EQ(read_error(0, [](auto& infos, auto&) { infos[1].type = ElementType::i32; }),
            ": w.scales: expected F32 [5, 2] by config.json, found I32 [5, 2]");
}

TEST(Quantized, RefusesCodesAndScalesThatMeanNothing) {
  const char* expected = ": w: expected codes of its code book and finite scales, found others";
  EXPECT_EQ(read_error(11,
                       [](auto&, auto& packed) {
                         packed.bytes(0)[0] = std::byte{0xff};  // ternary: 3 is no code
                       }),
            expected);
  EXPECT_EQ(read_error(0,
                       [](auto&, auto& packed) {
                         const float infinite = std::numeric_limits<float>::infinity();
                         std::memcpy(packed.bytes(1).data(), &infinite, 4);
                       }),
            expected);
}

TEST(Quantized, BelievesNoShapeBeforeTheFile) {
  const test::TemporaryFolder folder;
  test::write_sample(folder.path());
  const checkpoint::Checkpoint source(folder.path());
  const MatrixEntry huge{{}, std::int64_t{1} << 31, std::int64_t{1} << 28};
  EXPECT_THROW(read_matrix(source, test::sample_name(0), huge), InputError);
}

// ------------------------------------------------------------------------------- compatibility

const fs::path kVersion1 = fs::path(QLOFT_TEST_DATA) / "compat" / "v1";

TEST(Compatibility, ReadsVersion1ToTheSameWeights) {
  const checkpoint::Checkpoint source(kVersion1);
  const io::SafetensorsFile expected(kVersion1 / "expected" / "dequantized.safetensors");
  const auto config = read_config(source);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->version, 1);
  EXPECT_EQ(config->matrices.size(), expected.tensors().size());
  for (const auto& [name, entry] : config->matrices) {
    const Matrix found = test::dequantized(read_matrix(source, name, entry));
    const io::TensorInfo* info = expected.find(name);
    ASSERT_NE(info, nullptr) << name;
    Matrix wanted(entry.rows, entry.columns);
    ASSERT_EQ(info->element_count(), wanted.size());
    checkpoint::convert_to_f32(expected.bytes(*info), info->type, wanted.values());
    for (std::int64_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(found.data()[i], wanted.data()[i], 1e-6) << entry.format.describe() << " " << i;
    }
  }
}

TEST(Compatibility, WritesTheConfigurationOfVersion1) {
  EXPECT_EQ(io::read_json(kVersion1 / "config.json")["quantization_config"],
            to_json(test::sample_config()));
}

}  // namespace
}  // namespace qloft::quantized
