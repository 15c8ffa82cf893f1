#include "qloft/pipeline/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "qloft/adapter.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/inspect.h"
#include "qloft/quantized.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "tiny_llama.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeight = "model.layers.1.mlp.down_proj.weight";  // [32, 40]

class Quantize : public ::testing::Test {
 protected:
  void SetUp() override { test::write_tiny_llama(folder_ / "base"); }

  QuantizeOptions options(const std::string& output) const {
    QuantizeOptions options;
    options.model = (folder_ / "base").string();
    options.output = folder_ / output;
    options.bits = 3;
    options.method = "loftq";
    options.block = 16;
    options.rank = 4;
    options.iterations = 2;
    return options;
  }
  std::string refused(const QuantizeOptions& options) const {
    return test::refusal(quantize, options, folder_.path());
  }

  test::TemporaryFolder folder_;
  Progress silent_;
};

// ||W - Q - s B A|| / ||W|| from the files alone.
double error_on_disk(const fs::path& base, const fs::path& folder, const std::string& module) {
  const checkpoint::Checkpoint source(base), output(folder);
  const auto config = quantized::read_config(output);
  const std::string weight = module + ".weight";
  const auto packed = quantized::read_matrix(output, weight, config->matrices.at(weight));
  const Matrix w = source.read_matrix(weight);
  Matrix q(packed.rows(), packed.columns());
  quant::dequantize(packed, q.view());
  const adapter::Adapter adapter = adapter::load(folder / "adapter");
  adapter::merge_into(q.view(), adapter.modules.at(module), adapter.config.scale_of(module),
                      module);
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < w.size(); ++i) {
    difference += std::pow(static_cast<double>(w.data()[i]) - q.data()[i], 2);
    norm += std::pow(static_cast<double>(w.data()[i]), 2);
  }
  return std::sqrt(difference / norm);
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename() == "quantization_report.json") continue;
    out[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
  }
  return out;
}

TEST_F(Quantize, WritesAFolderWhoseErrorIsTheReportedOne) {
  QuantizeOptions o = options("out");
  o.alpha = 2;  // scale 0.5
  const QuantizeReport report = quantize(o, silent_);
  ASSERT_EQ(report.matrices.size(), 14u);
  double sum = 0;
  for (const QuantizedMatrix& matrix : report.matrices) {
    ASSERT_EQ(matrix.relative_error.size(), 2u);
    const std::string module = matrix.name.substr(0, matrix.name.rfind(".weight"));
    EXPECT_NEAR(error_on_disk(folder_ / "base", folder_ / "out", module),
                matrix.relative_error.back(), 1e-5);
    sum += matrix.relative_error.back();
  }
  EXPECT_NEAR(report.relative_error, sum / 14, 1e-12);
  EXPECT_GT(report.relative_error, 0.01);
  EXPECT_LT(report.relative_error, 0.3);
  EXPECT_GT(report.bits_per_weight, 3);
}

TEST_F(Quantize, StoresTheAdapterOfAModelOf16BitsIn16) {
  for (const auto& [dtype, expected] : std::map<std::string, ElementType>{
           {"bfloat16", ElementType::bf16}, {"float32", ElementType::f32}}) {
    io::Json config = test::tiny_config(false);
    config["torch_dtype"] = dtype;
    io::write_json(folder_ / "base/config.json", config);
    quantize(options(dtype), silent_);
    const io::SafetensorsFile file(folder_ / dtype / "adapter/adapter_model.safetensors");
    EXPECT_EQ(file.tensors().front().type, expected) << dtype;
  }
}

TEST_F(Quantize, CountsTheAdapterAsItIsStored) {
  double f32 = 0;
  for (const char* dtype : {"f32", "bf16", "nf8", "f8"}) {
    QuantizeOptions o = options(dtype);
    o.adapter_dtype = dtype;
    const QuantizeReport report = quantize(o, silent_);
    const io::SafetensorsFile file(folder_ / dtype / "adapter/adapter_model.safetensors");
    std::uint64_t stored = 0;
    for (const io::TensorInfo& tensor : file.tensors()) stored += tensor.bytes();
    double weights = 0;
    for (const QuantizedMatrix& m : report.matrices) {
      weights += static_cast<double>(m.rows * m.columns);
    }
    EXPECT_NEAR(report.total_bits_per_weight,
                report.bits_per_weight + 8 * static_cast<double>(stored) / weights, 1e-9);
    if (f32 == 0) f32 = report.total_bits_per_weight;
    EXPECT_LE(report.total_bits_per_weight, f32);
    const InspectReport inspected = inspect({.model = (folder_ / dtype).string()});
    EXPECT_NEAR(inspected.total_bits_per_weight, report.total_bits_per_weight, 1e-9);
    double sum = 0;
    for (const InspectedMatrix& m : inspected.matrices) {
      sum += m.total_bits_per_weight * static_cast<double>(m.rows * m.columns);
    }
    EXPECT_NEAR(sum / weights, inspected.total_bits_per_weight, 1e-9);
  }
}

TEST_F(Quantize, CountsNoAdapterWhereThereIsNone) {
  QuantizeOptions o = options("out");
  o.rank = 0;
  const QuantizeReport report = quantize(o, silent_);
  EXPECT_EQ(report.total_bits_per_weight, report.bits_per_weight);
  const InspectReport inspected = inspect({.model = (folder_ / "out").string()});
  EXPECT_EQ(inspected.total_bits_per_weight, inspected.bits_per_weight);
}

TEST_F(Quantize, KeepsEveryOtherTensorAndFile) {
  quantize(options("out"), silent_);
  const checkpoint::Checkpoint base(folder_ / "base"), output(folder_ / "out");
  const auto config = quantized::read_config(output);
  ASSERT_TRUE(config);
  std::size_t kept = 0;
  for (const std::string& name : base.names()) {
    if (config->matrices.contains(name)) {
      EXPECT_FALSE(output.contains(name)) << name;
      continue;
    }
    const auto a = base.bytes(name), b = output.bytes(name);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << name;
    ++kept;
  }
  EXPECT_EQ(kept, base.names().size() - 14);
  EXPECT_EQ(read_file(folder_ / "out/tokenizer.json"), "{}");
  EXPECT_EQ(output.config()["hidden_size"], 32);
  for (const auto& entry : fs::directory_iterator(folder_ / "out")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(Quantize, WritesItsReport) {
  const QuantizeReport report = quantize(options("out"), silent_);
  const io::Json json = io::read_json(folder_ / "out/quantization_report.json");
  EXPECT_EQ(json["method"], "loftq");
  EXPECT_EQ(json["bits_per_weight"], report.bits_per_weight);
  EXPECT_EQ(json["matrices"].size(), 14u);
  EXPECT_EQ(json["matrices"][0]["name"], "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(json["matrices"][0]["relative_error"].size(), 2u);
}

TEST_F(Quantize, GoesOnAfterAnInterruptionToTheSameBytes) {
  quantize(options("whole"), silent_);
  for (const std::uint64_t stop_after : {1u, 5u, 13u}) {
    const std::string name = "stopped" + std::to_string(stop_after);
    test::StoppingProgress stopping(stop_after);
    EXPECT_THROW(quantize(options(name), stopping), Interrupted);
    EXPECT_FALSE(fs::exists(folder_ / name));
    test::StoppingProgress again(100);
    const QuantizeReport report = quantize(options(name), again);
    EXPECT_EQ(report.resumed, static_cast<std::int64_t>(stop_after));
    EXPECT_NE(again.notes.find("going on from there"), std::string::npos);
    EXPECT_EQ(report.matrices.size(), 14u);
    auto resumed = contents(folder_ / name), whole = contents(folder_ / "whole");
    resumed.erase("adapter/adapter_config.json");  // it names its own folder
    whole.erase("adapter/adapter_config.json");
    EXPECT_EQ(resumed, whole);
  }
}

TEST_F(Quantize, GoesOnWhereTheModelHasOnlyAnotherTimeAndBeginsAnewWhereItHasOtherWeights) {
  const fs::path weights = folder_ / "base/model.safetensors";
  test::StoppingProgress stopping(5);
  EXPECT_THROW(quantize(options("out"), stopping), Interrupted);
  fs::last_write_time(weights, fs::file_time_type::clock::now() + std::chrono::hours(1));
  test::StoppingProgress later(8);
  EXPECT_THROW(quantize(options("out"), later), Interrupted);
  EXPECT_NE(later.notes.find("finished 5 of 14"), std::string::npos) << later.notes;
  // The last byte: of a weight, and of no other length.
  const fs::file_time_type time = fs::last_write_time(weights);
  std::string bytes = read_file(weights);
  bytes.back() ^= 1;
  write_file(weights, bytes);
  fs::last_write_time(weights, time);
  test::StoppingProgress again(100);
  EXPECT_EQ(quantize(options("out"), again).resumed, 0);
  EXPECT_NE(again.notes.find("beginning anew"), std::string::npos);
}

TEST_F(Quantize, BeginsAnewWithOtherOptions) {
  test::StoppingProgress stopping(5);
  EXPECT_THROW(quantize(options("out"), stopping), Interrupted);
  QuantizeOptions other = options("out");
  other.seed = 1;
  test::StoppingProgress again(100);
  EXPECT_EQ(quantize(other, again).resumed, 0);
  EXPECT_NE(again.notes.find("beginning anew"), std::string::npos);
}

TEST_F(Quantize, StartsQloraFromAZeroProduct) {
  QuantizeOptions o = options("out");
  o.method = "qlora";
  o.bits = 4;
  o.block = 64;
  const QuantizeReport report = quantize(o, silent_);
  const adapter::Adapter adapter = adapter::load(folder_ / "out/adapter");
  for (const auto& [module, factors] : adapter.modules) {
    for (const float value : factors.b.values()) ASSERT_EQ(value, 0.f);
  }
  EXPECT_EQ(report.format, "nf4 block 64 absmax dynamic8 block 256 f32");
  EXPECT_EQ(adapter.config.base_model, (folder_ / "out").string());
  EXPECT_EQ(adapter.config.target_modules.size(), 7u);
}

TEST_F(Quantize, TakesOnlyTheNamedModules) {
  QuantizeOptions o = options("out");
  o.target_modules = {"q_proj", "model.layers.1.mlp.up_proj", "lm_head", "embed_tokens"};
  const QuantizeReport report = quantize(o, silent_);
  std::vector<std::string> names;
  for (const auto& matrix : report.matrices) names.push_back(matrix.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight",
                       "model.layers.1.self_attn.q_proj.weight",
                       "model.layers.1.mlp.up_proj.weight", "lm_head.weight"}));
  EXPECT_EQ(adapter::load(folder_ / "out/adapter").modules.size(), 4u);
}

TEST_F(Quantize, WritesNoAdapterOfRankZero) {
  QuantizeOptions o = options("out");
  o.rank = 0;
  quantize(o, silent_);
  EXPECT_FALSE(fs::exists(folder_ / "out/adapter"));
}

TEST_F(Quantize, ReadsShards) {
  test::write_tiny_llama(folder_ / "sharded", false, 4000);
  ASSERT_TRUE(fs::exists(folder_ / "sharded/model.safetensors.index.json"));
  QuantizeOptions o = options("out");
  o.model = (folder_ / "sharded").string();
  quantize(o, silent_);
  quantize(options("whole"), silent_);
  EXPECT_EQ(read_file(folder_ / "out/model.safetensors"),
            read_file(folder_ / "whole/model.safetensors"));
}

TEST_F(Quantize, NamesTheTensorThatIsNotFinite) {
  for (const float value :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    fs::remove_all(folder_ / "spoiled");
    test::spoil(folder_ / "base", folder_ / "spoiled", kWeight, value);
    QuantizeOptions o = options("out");
    o.model = (folder_ / "spoiled").string();
    EXPECT_TRUE(refused(o).starts_with(std::string("spoiled: ") + kWeight +
                                       ": expected finite values, found "))
        << refused(o);
    EXPECT_FALSE(fs::exists(folder_ / "out"));
  }
}

TEST_F(Quantize, NamesTheMatrixWhoseValuesAreTooLarge) {
  test::spoil(folder_ / "base", folder_ / "spoiled", kWeight, 3e38f, 3e38f);
  for (const bool exact : {false, true}) {
    QuantizeOptions o = options("out");
    o.model = (folder_ / "spoiled").string();
    o.method = "lq-lora";  // begins with the matrix itself
    o.exact = exact;
    const std::string line = test::failure([&] { quantize(o, silent_); });
    EXPECT_TRUE(line.starts_with(o.model + ": " + kWeight + ": ")) << line;
    EXPECT_FALSE(fs::exists(folder_ / "out"));
  }
}

TEST_F(Quantize, NamesWhatDoesNotFit) {
  using Change = std::function<void(QuantizeOptions&)>;
  const std::pair<Change, const char*> cases[] = {
      {[](auto& o) { o.rank = 17; },
       "base: model.layers.0.self_attn.k_proj.weight: expected a rank of at most 16 for its shape "
       "[16, 32], found 17"},
      {[](auto& o) { o.rank = -1; }, "rank: expected 0 or more, found -1"},
      {[](auto& o) { o.alpha = 0; }, "alpha: expected a number above 0"},
      {[](auto& o) { o.bits = 9; }, "bits: expected 2 to 8 for the code book nf, found 9"},
      {[](auto& o) { o.scale = "max"; },
       "scale: expected one of absmax, mse, deviation, found 'max'"},
      {[](auto& o) { o.scale_type = "f8"; },
       "scale_type: expected one of f32, bf16, f16, double, found 'f8'"},
      {[](auto& o) { o.second_bits = 4; },
       "second_bits: options of the second level need --scale-type double"},
      {[](auto& o) {
         o.target_modules = {"q_proj", "qq"};
       },
       "target_modules: expected modules of this model (down_proj, embed_tokens, gate_proj, "
       "k_proj, lm_head, o_proj, q_proj, up_proj, v_proj), found 'qq'"},
      {[](auto& o) { o.output = o.model; },
       "base: expected an output that holds no input, found base"},
      {[](auto& o) { o.output = ""; }, "output: expected a folder to write to"},
      {[](auto& o) { o.adapter_dtype = "i8"; },
       "adapter_dtype: expected one of auto, f32, bf16, f16, f8, nf8, found 'i8'"}};
  for (const auto& [change, expected] : cases) {
    QuantizeOptions o = options("out");
    change(o);
    EXPECT_EQ(refused(o), expected);
  }
}

TEST_F(Quantize, TakesASecondLevelOfFewerBits) {
  QuantizeOptions o = options("out");
  o.scale_type = "double";
  o.second_bits = 3;
  o.second_block = 64;
  o.second_type = "bf16";
  EXPECT_EQ(quantize(o, silent_).format, "nf3 block 16 absmax uniform3 block 64 bf16");
}

TEST_F(Quantize, RefusesAQuantizedModelAndAFullFolder) {
  quantize(options("out"), silent_);
  QuantizeOptions again = options("other");
  again.model = (folder_ / "out").string();
  EXPECT_EQ(refused(again),
            "out/config.json: quantization_config: expected a full-precision "
            "model, found one that is quantized already (qloft)");
  EXPECT_NE(refused(options("out")).find("out: the output folder is not empty"), std::string::npos);
  QuantizeOptions over = options("out");
  over.overwrite = true;
  EXPECT_EQ(refused(over), "accepted");
}

TEST_F(Quantize, NamesAMissingAndAMisshapenTensor) {
  io::Json config = io::read_json(folder_ / "base/config.json");
  config["num_hidden_layers"] = 3;
  io::write_json(folder_ / "base/config.json", config);
  EXPECT_EQ(refused(options("out")),
            "base: model.layers.2.input_layernorm.weight: this tensor is missing");
  config["num_hidden_layers"] = 2;
  config["intermediate_size"] = 48;
  io::write_json(folder_ / "base/config.json", config);
  EXPECT_EQ(refused(options("out")),
            "base: model.layers.0.mlp.gate_proj.weight: expected the shape [48, 32] by "
            "config.json, found [40, 32]");
}

}  // namespace
}  // namespace qloft::pipeline
