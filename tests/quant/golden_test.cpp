// NF4, double quantization and the code books, to the bit, against tests/golden/nf4.json.

#include <bit>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "qloft/kernels.h"
#include "support.h"

namespace qloft::quant {
namespace {

using Json = nlohmann::json;

const Json& golden() {
  static const Json json = Json::parse(std::ifstream(QLOFT_TEST_DATA "/golden/nf4.json"));
  return json;
}

std::vector<std::uint32_t> numbers(const Json& hex, std::size_t digits) {
  const auto& text = hex.get_ref<const std::string&>();
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < text.size(); i += digits) {
    out.push_back(static_cast<std::uint32_t>(std::stoul(text.substr(i, digits), nullptr, 16)));
  }
  return out;
}

std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> out;
  for (const float value : values) out.push_back(std::bit_cast<std::uint32_t>(value));
  return out;
}

std::vector<std::uint32_t> codes_of(const PackedMatrix& packed) {
  const std::int64_t row_bytes = kernels::packed_bytes(packed.columns(), packed.format().bits);
  std::vector<std::uint32_t> out;
  std::vector<std::uint8_t> row(static_cast<std::size_t>(packed.columns()));
  for (std::int64_t i = 0; i < packed.rows(); ++i) {
    kernels::table().unpack(
        reinterpret_cast<const std::uint8_t*>(packed.bytes(0).data()) + i * row_bytes,
        packed.columns(), packed.format().bits, row.data());
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

Matrix matrix(const Json& hex, std::int64_t rows, std::int64_t columns) {
  Matrix out(rows, columns);
  const auto words = numbers(hex, 8);
  for (std::size_t i = 0; i < words.size(); ++i) out.values()[i] = std::bit_cast<float>(words[i]);
  return out;
}

TEST(Nf4, CodesScalesAndValuesEqualThoseOfBitsandbytes) {
  for (const auto& [name, entry] : golden()["nf4"].items()) {
    const Matrix w = matrix(entry["weight"], entry["rows"], entry["columns"]);
    const Format f = format(4, Codebook::nf, ScaleRule::absmax, entry["block"]);
    const PackedMatrix packed = quantize(w.view(), f);
    EXPECT_EQ(bits_of(block_scales(packed).values()), numbers(entry["absmax"], 8)) << name;
    EXPECT_EQ(codes_of(packed), numbers(entry["codes"], 2)) << name;
    const Matrix expected = matrix(entry["dequantized"], entry["rows"], entry["columns"]);
    const Matrix q = dequantized(packed);
    for (std::size_t i = 0; i < q.values().size(); ++i) {
      EXPECT_EQ(q.values()[i], expected.values()[i]) << name << " at " << i;
    }
  }
}

TEST(Nf4, DoubleQuantizedScalesEqualThoseOfBitsandbytes) {
  const Json& entry = golden()["double"];
  Matrix w(entry["rows"], entry["columns"]);
  const auto largest = numbers(entry["largest"], 8);
  for (std::size_t b = 0; b < largest.size(); ++b) {
    w.values()[b * 64 + 3] = std::bit_cast<float>(largest[b]);
  }
  Format f;
  f.second_level = SecondLevel{};
  const PackedMatrix packed = quantize(w.view(), f);
  ASSERT_EQ(packed.parts()[1].suffix, "scale_codes");
  std::vector<std::uint32_t> codes;
  for (const std::byte b : packed.bytes(1)) codes.push_back(static_cast<std::uint32_t>(b));
  EXPECT_EQ(codes, numbers(entry["scale_codes"], 2));
  const auto words = [&](std::size_t part) {
    std::vector<std::uint32_t> out(packed.bytes(part).size() / 4);
    std::memcpy(out.data(), packed.bytes(part).data(), packed.bytes(part).size());
    return out;
  };
  EXPECT_EQ(words(2), numbers(entry["scale_scales"], 8));
  EXPECT_EQ(words(3), numbers(entry["offset"], 8));
  EXPECT_EQ(bits_of(block_scales(packed).values()), numbers(entry["scales"], 8));
}

TEST(CodeBooks, EqualThoseOfLoftqAndBitsandbytes) {
  for (const int bits : {2, 3, 4, 8}) {
    const std::string width = std::to_string(bits);
    EXPECT_EQ(bits_of(code_values(format(bits, Codebook::nf))),
              numbers(golden()["code_books"]["nf" + width], 8))
        << bits;
    EXPECT_EQ(bits_of(code_values(format(bits, Codebook::uniform))),
              numbers(golden()["code_books"]["uniform" + width], 8))
        << bits;
  }
  EXPECT_EQ(bits_of(code_values(SecondLevel{})), numbers(golden()["code_books"]["dynamic8"], 8));
}

}  // namespace
}  // namespace qloft::quant
