// Adapters of experts against folders that PEFT wrote: tests/golden/make_families.py.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "temporary_folder.h"

namespace qloft::adapter {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kExperts = 4, kHidden = 32, kInner = 24;

fs::path golden(const char* name) {
  return fs::path(QLOFT_TEST_DATA) / "golden/models/mixtral" / name;
}

std::string expert(int layer, std::int64_t number, const std::string& matrix) {
  return "model.layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(number) + "." +
         matrix;
}

// The experts of the golden Mixtral.
architecture::Layout mixtral() {
  architecture::Layout layout;
  for (int layer = 0; layer < 2; ++layer) {
    const std::string block = "model.layers." + std::to_string(layer) + ".";
    for (std::int64_t e = 0; e < kExperts; ++e) {
      const std::string own = block + "block_sparse_moe.experts." + std::to_string(e) + ".";
      architecture::Parameter up, down;
      up.name = expert(layer, e, "gate_up_proj");
      up.shape = {2 * kInner, kHidden};
      up.storages = {
          {{own + "w1.weight", {kInner, kHidden}}, {own + "w3.weight", {kInner, kHidden}}},
          {{block + "mlp.experts.gate_up_proj", {kExperts, 2 * kInner, kHidden}, e}}};
      down.name = expert(layer, e, "down_proj");
      down.shape = {kHidden, kInner};
      down.storages = {{{own + "w2.weight", {kHidden, kInner}}},
                       {{block + "mlp.experts.down_proj", {kExperts, kHidden, kInner}, e}}};
      layout.parameters.push_back(up);
      layout.parameters.push_back(down);
    }
  }
  return layout;
}

Matrix read(const io::SafetensorsFile& file, const std::string& module, const char* factor) {
  const std::string name = "base_model.model." + module + "." + factor + ".weight";
  const io::TensorInfo* info = file.find(name);
  if (info == nullptr) throw std::out_of_range(name);
  Matrix matrix(info->shape[0], info->shape[1]);
  checkpoint::convert_to_f32(file.bytes(*info), info->type, matrix.values());
  return matrix;
}

std::string all_of(const Adapter& adapter) {
  std::string names;
  for (const auto& [module, factors] : adapter.modules) {
    names += module + " " + std::to_string(factors.a.rows()) + " ";
  }
  return names;
}

TEST(ExpertAdapter, TakesWhatPeftAdaptsAsOneParameterApart) {
  const Adapter adapter = load(golden("experts"), mixtral());
  EXPECT_EQ(adapter.modules.size(), 16u);
  EXPECT_EQ(adapter.config.rank, 4);
  EXPECT_DOUBLE_EQ(adapter.config.scale_of(expert(1, 2, "down_proj")), 1.5);
  const io::SafetensorsFile file(golden("experts") / "adapter_model.safetensors");
  for (const auto& [name, module] :
       {std::pair{"gate_up_proj", "model.layers.1.mlp.experts.base_layer"},
        {"down_proj", "model.layers.1.mlp.experts"}}) {
    const Matrix a = read(file, module, "lora_A"), b = read(file, module, "lora_B");
    for (std::int64_t e = 0; e < kExperts; ++e) {
      const Factors& factors = adapter.modules.at(expert(1, e, name));
      ASSERT_EQ(factors.a.rows(), 4);
      ASSERT_EQ(factors.b.rows(), b.rows());
      for (std::int64_t k = 0; k < 4; ++k) {
        EXPECT_EQ(factors.a(k, 5), a(e * 4 + k, 5));
        EXPECT_EQ(factors.b(7, k), b(7, k * kExperts + e));
      }
    }
  }
}

TEST(ExpertAdapter, IsWrittenAsPeftWroteIt) {
  const test::TemporaryFolder folder;
  const Adapter adapter = load(golden("experts"), mixtral());
  save(adapter, folder.path(), ElementType::f32, mixtral());
  const io::SafetensorsFile ours(folder / "adapter_model.safetensors");
  const io::SafetensorsFile theirs(golden("experts") / "adapter_model.safetensors");
  ASSERT_EQ(ours.tensors().size(), theirs.tensors().size());
  for (const io::TensorInfo& info : theirs.tensors()) {
    const io::TensorInfo* own = ours.find(info.name);
    ASSERT_NE(own, nullptr) << info.name;
    EXPECT_EQ(own->shape, info.shape);
    EXPECT_TRUE(std::ranges::equal(ours.bytes(*own), theirs.bytes(info))) << info.name;
  }
  const io::Json config = io::read_json(folder / "adapter_config.json");
  EXPECT_EQ(config["target_modules"], io::Json::array());
  EXPECT_EQ(config["target_parameters"],
            io::Json::array({"mlp.experts.down_proj", "mlp.experts.gate_up_proj"}));
}

TEST(ExpertAdapter, IsWrittenExpertByExpertToTheSameBytes) {
  const test::TemporaryFolder folder;
  Adapter adapter = load(golden("experts"), mixtral());
  // A matrix beside them, and a rank of its own.
  adapter.modules["model.layers.0.q"] = {Matrix(2, 8), Matrix(8, 2)};
  adapter.config.rank_pattern["model.layers.0.q"] = 2;
  fs::create_directory(folder / "whole");
  fs::create_directory(folder / "parts");
  std::map<std::string, Writer::Shape> shapes;
  for (const auto& [module, factors] : adapter.modules) {
    shapes[module] = {factors.b.rows(), factors.a.columns()};
  }
  save(adapter, folder / "whole", ElementType::bf16, mixtral());
  Writer writer(folder / "parts", adapter.config, shapes, ElementType::bf16, Writer::Mode::create,
                mixtral());
  for (const auto& [module, factors] : adapter.modules) writer.write(module, factors);
  for (const char* file : {"adapter_model.safetensors", "adapter_config.json"}) {
    EXPECT_EQ(read_file(folder / "whole" / file), read_file(folder / "parts" / file)) << file;
  }
}

TEST(ExpertAdapter, OfSomeExpertsIsWrittenByTheirNames) {
  const test::TemporaryFolder folder;
  Adapter adapter = load(golden("experts"), mixtral());
  adapter.modules.erase(expert(0, 1, "down_proj"));
  save(adapter, folder.path(), ElementType::f32, mixtral());
  const io::Json config = io::read_json(folder / "adapter_config.json");
  EXPECT_EQ(config["target_parameters"],
            io::Json::array({"mlp.experts.gate_up_proj", "model.layers.1.mlp.experts.down_proj"}));
  EXPECT_EQ(all_of(load(folder.path(), mixtral())), all_of(adapter));
}

TEST(ExpertAdapter, OfMatricesThatAreOneNowKeepsTheirSum) {
  const Adapter adapter = load(golden("older_experts"), mixtral());
  EXPECT_EQ(adapter.modules.size(), 16u);
  const std::string module = expert(1, 3, "gate_up_proj");
  const double scale = adapter.config.scale_of(module);
  EXPECT_DOUBLE_EQ(scale, 1.5);
  EXPECT_EQ(adapter.config.rank_of(module), 8);
  Matrix sum(2 * kInner, kHidden), expected(2 * kInner, kHidden);
  merge_into(sum.view(), adapter.modules.at(module), scale, module);
  const io::SafetensorsFile file(golden("older_experts") / "adapter_model.safetensors");
  for (const auto& [name, row] : {std::pair<std::string, std::int64_t>{"w1", 0}, {"w3", kInner}}) {
    const std::string part = "model.layers.1.block_sparse_moe.experts.3." + name;
    const Factors factors{read(file, part, "lora_A"), read(file, part, "lora_B")};
    merge_into({expected.data() + row * kHidden, kInner, kHidden}, factors, 1.5, part);
  }
  for (std::int64_t i = 0; i < sum.size(); ++i)
    EXPECT_NEAR(sum.data()[i], expected.data()[i], 1e-5);
  EXPECT_EQ(adapter.modules.at(expert(0, 0, "down_proj")).a.rows(), 4);
}

TEST(ExpertAdapter, OfAnotherKindOfModelIsRefused) {
  try {
    load(golden("experts"));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(error.location().field, "target_parameters");
  }
}

TEST(ExpertAdapter, NamesWithOtherPrefixesAreTheLayouts) {
  architecture::Layout layout = mixtral();
  layout.prefix = "model.layers.";
  layout.other_prefixes = {"language_model.model.layers."};
  Adapter adapter;
  adapter.config.rank = 1;
  adapter.modules["language_model.model.layers.1.mlp.experts.2.down_proj"] = {Matrix(1, kInner),
                                                                              Matrix(kHidden, 1)};
  const test::TemporaryFolder folder;
  save(adapter, folder.path());
  EXPECT_EQ(all_of(load(folder.path(), layout)), expert(1, 2, "down_proj") + " 1 ");
}

TEST(Experts, ShareWhatTheirOneParameterTakesOnDisk) {
  const auto bytes = stored_bytes(golden("experts"), mixtral());
  double sum = 0;
  for (const auto& [module, own] : bytes) sum += own;
  const io::SafetensorsFile file(golden("experts") / "adapter_model.safetensors");
  std::uint64_t stored = 0;
  for (const io::TensorInfo& tensor : file.tensors()) stored += tensor.bytes();
  EXPECT_DOUBLE_EQ(sum, static_cast<double>(stored));
  EXPECT_EQ(bytes.at(expert(0, 0, "down_proj")), bytes.at(expert(0, 3, "down_proj")));
}

}  // namespace
}  // namespace qloft::adapter
