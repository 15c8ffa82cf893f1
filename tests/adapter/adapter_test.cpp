#include "qloft/adapter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "malformed.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "temporary_folder.h"

namespace qloft::adapter {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(QLOFT_TEST_DATA) / "golden" / "adapter";

Matrix read(const io::SafetensorsFile& file, const std::string& name) {
  const io::TensorInfo* info = file.find(name);
  if (info == nullptr) throw std::out_of_range(name);
  Matrix matrix(info->shape[0], info->shape[1]);
  checkpoint::convert_to_f32(file.bytes(*info), info->type, matrix.values());
  return matrix;
}

double largest_difference(const Matrix& a, const Matrix& b) {
  EXPECT_EQ(a.rows(), b.rows());
  EXPECT_EQ(a.columns(), b.columns());
  double largest = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    largest = std::max<double>(largest, std::abs(a.data()[i] - b.data()[i]));
  }
  return largest;
}

Adapter small_adapter() {
  Adapter adapter;
  adapter.config.rank = 2;
  adapter.config.alpha = 3;
  adapter.config.target_modules = {"q"};
  Factors factors{Matrix(2, 3), Matrix(4, 2)};
  for (std::int64_t i = 0; i < 6; ++i) factors.a.data()[i] = 0.5f * static_cast<float>(i);
  for (std::int64_t i = 0; i < 8; ++i) factors.b.data()[i] = 1.f - static_cast<float>(i);
  adapter.modules["model.q"] = std::move(factors);
  return adapter;
}

TEST(Adapter, MergesEveryFolderOfPeftToItsOwnMergedWeights) {
  const io::SafetensorsFile base(kGolden / "base.safetensors");
  for (const auto& [name, count] :
       {std::pair{"list", 4}, {"patterns", 14}, {"expression", 3}, {"eight_bits", 4}}) {
    SCOPED_TRACE(name);
    const Adapter adapter = load(kGolden / name);
    const io::SafetensorsFile merged(kGolden / name / "merged.safetensors");
    int changed = 0;
    for (const io::TensorInfo& info : base.tensors()) {
      Matrix weight = read(base, info.name);
      const std::string module = info.name.substr(0, info.name.rfind(".weight"));
      const Matrix expected = read(merged, info.name);
      if (const auto it = adapter.modules.find(module); it != adapter.modules.end()) {
        EXPECT_GT(largest_difference(weight, expected), 1e-4) << module;
        merge_into(weight.view(), it->second, adapter.config.scale_of(module), module);
        ++changed;
      }
      EXPECT_LT(largest_difference(weight, expected), 1e-6) << module;
    }
    EXPECT_EQ(changed, count);
  }
}

TEST(Adapter, ResolvesPatternsOfPeftToModules) {
  const Config config = load(kGolden / "patterns").config;
  EXPECT_EQ(config.rank_of("model.layers.0.self_attn.q_proj"), 4);
  EXPECT_EQ(config.rank_of("model.layers.1.self_attn.q_proj"), 2);
  EXPECT_EQ(config.rank_of("model.layers.0.mlp.down_proj"), 3);
  EXPECT_EQ(config.rank_of("model.layers.1.mlp.gate_proj"), 5);
  EXPECT_DOUBLE_EQ(config.scale_of("model.layers.0.mlp.down_proj"), 5.5 / std::sqrt(3));
  EXPECT_DOUBLE_EQ(config.scale_of("model.layers.1.mlp.down_proj"), 8 / std::sqrt(3));
}

TEST(Adapter, NamesTheModulesThatAnExpressionSelected) {
  EXPECT_EQ(
      load(kGolden / "expression").config.target_modules,
      (std::vector<std::string>{"model.layers.1.mlp.up_proj", "model.layers.1.self_attn.k_proj",
                                "model.layers.1.self_attn.v_proj"}));
}

TEST(Adapter, TakesAllLinearForTheNamesOfItsModules) {
  const test::TemporaryFolder folder;
  save(small_adapter(), folder.path());
  io::Json config = io::read_json(folder / "adapter_config.json");
  config["target_modules"] = "All-Linear";
  io::write_json(folder / "adapter_config.json", config);
  EXPECT_EQ(load(folder.path()).config.target_modules, std::vector<std::string>{"q"});
}

TEST(Adapter, CountsWhatTheFactorsOfAModuleTakeOnDisk) {
  for (const auto& [type, bytes] : {std::pair{ElementType::f32, 14 * 4},
                                    {ElementType::bf16, 14 * 2},
                                    {ElementType::f8, 14},
                                    {ElementType::i8, 14 + 4 * 2}}) {
    const test::TemporaryFolder folder;
    save(small_adapter(), folder.path(), type);
    EXPECT_EQ(stored_bytes(folder.path(), {}),
              (std::map<std::string, double>{{"model.q", static_cast<double>(bytes)}}));
  }
}

TEST(Adapter, NamesTheFactorThatIsNotFinite) {
  for (const float value : {NAN, -HUGE_VALF}) {
    const test::TemporaryFolder folder;
    Adapter adapter = small_adapter();
    adapter.modules.at("model.q").b(3, 1) = value;
    save(adapter, folder.path());
    try {
      load(folder.path());
      ADD_FAILURE() << "accepted " << value;
    } catch (const InputError& error) {
      EXPECT_EQ(error.location().file, folder / "adapter_model.safetensors");
      EXPECT_EQ(error.location().field, "base_model.model.model.q.lora_B.weight");
    }
  }
}

TEST(Adapter, SavesWhatItLoads) {
  for (const char* name : {"list", "patterns", "expression"}) {
    const test::TemporaryFolder folder;
    const Adapter first = load(kGolden / name);
    save(first, folder.path());
    const Adapter second = load(folder.path());
    EXPECT_EQ(second.config.target_modules, first.config.target_modules);
    EXPECT_EQ(second.config.rank_pattern, first.config.rank_pattern);
    EXPECT_EQ(second.config.alpha_pattern, first.config.alpha_pattern);
    EXPECT_EQ(second.config.rslora, first.config.rslora);
    EXPECT_EQ(second.config.dropout, first.config.dropout);
    ASSERT_EQ(second.modules.size(), first.modules.size());
    for (const auto& [module, factors] : first.modules) {
      EXPECT_EQ(largest_difference(factors.a, second.modules.at(module).a), 0);
      EXPECT_EQ(largest_difference(factors.b, second.modules.at(module).b), 0);
    }
  }
}

TEST(Adapter, WritesTheTensorsAndTheFieldsOfPeft) {
  const test::TemporaryFolder folder;
  save(load(kGolden / "list"), folder.path());
  const io::SafetensorsFile ours(folder / "adapter_model.safetensors");
  const io::SafetensorsFile theirs(kGolden / "list" / "adapter_model.safetensors");
  ASSERT_EQ(ours.tensors().size(), theirs.tensors().size());
  for (const io::TensorInfo& info : theirs.tensors()) {
    ASSERT_NE(ours.find(info.name), nullptr) << info.name;
    EXPECT_EQ(ours.find(info.name)->shape, info.shape);
  }
  const io::Json config = io::read_json(folder / "adapter_config.json");
  const io::Json golden = io::read_json(kGolden / "list" / "adapter_config.json");
  for (const auto& [field, value] : config.items()) {
    ASSERT_TRUE(golden.contains(field)) << field;
    if (field == "base_model_name_or_path" || field == "target_modules") continue;
    EXPECT_EQ(value, golden[field]) << field;
  }
}

TEST(Adapter, StoresFactorsInSixteenBits) {
  for (const ElementType type : {ElementType::bf16, ElementType::f16}) {
    const test::TemporaryFolder folder;
    save(small_adapter(), folder.path(), type);
    EXPECT_EQ(io::SafetensorsFile(folder / "adapter_model.safetensors").tensors()[0].type, type);
    EXPECT_EQ(load(folder.path()).modules.at("model.q").b(3, 1), -6.f);
  }
}

TEST(Adapter, StoresFactorsInEightBitsAsTorchRoundsThem) {
  const test::TemporaryFolder folder;
  const Adapter exact = load(kGolden / "list");
  save(exact, folder.path(), ElementType::f8);
  EXPECT_EQ(read_file(folder / "adapter_model.safetensors"),
            read_file(kGolden / "eight_bits/adapter_model.safetensors"));
}

TEST(Adapter, NamesTheModuleWhoseFactorsDoNotFitTheType) {
  for (const ElementType type : {ElementType::f8, ElementType::f16}) {
    const test::TemporaryFolder folder;
    Adapter adapter = small_adapter();
    adapter.modules.at("model.q").b(3, 1) = 1e5f;
    try {
      save(adapter, folder.path(), type);
      ADD_FAILURE() << "accepted as " << short_name(type);
    } catch (const InputError& error) {
      EXPECT_STREQ(error.what(), ("model.q: expected factors that " +
                                  std::string(short_name(type)) + " holds, found larger values")
                                     .c_str());
    }
    EXPECT_FALSE(fs::exists(folder / "adapter_model.safetensors"));
  }
}

TEST(Adapter, ReadsNamesWithTheAdapterInThem) {
  const test::TemporaryFolder folder;
  save(small_adapter(), folder.path());
  const std::vector<float> values(8, 2.f);
  const auto bytes = std::as_bytes(std::span(values));
  const io::NamedBytes tensors[] = {
      {{"base_model.model.model.q.lora_A.default.weight", ElementType::f32, {2, 3}},
       bytes.first(24)},
      {{"base_model.model.model.q.lora_B.default.weight", ElementType::f32, {4, 2}}, bytes}};
  io::write_safetensors(folder / "adapter_model.safetensors", tensors);
  EXPECT_EQ(load(folder.path()).modules.at("model.q").a(1, 2), 2.f);
}

TEST(Adapter, NamesModulesThatNoTargetCovers) {
  const test::TemporaryFolder folder;
  Adapter adapter = small_adapter();
  adapter.modules["model.other"] = adapter.modules["model.q"];
  save(adapter, folder.path());
  EXPECT_EQ(io::read_json(folder / "adapter_config.json")["target_modules"],
            io::Json({"q", "model.other"}));
}

TEST(Adapter, ScalesByRankOrItsRoot) {
  Config config;
  config.rank = 16;
  config.alpha = 8;
  EXPECT_DOUBLE_EQ(config.scale_of("a"), 0.5);
  config.rank_pattern["a"] = 4;
  EXPECT_DOUBLE_EQ(config.scale_of("a"), 2.0);
  config.rslora = true;
  config.alpha_pattern["a"] = 6;
  EXPECT_DOUBLE_EQ(config.scale_of("a"), 3.0);
}

TEST(Adapter, MergesIntoAViewWithGaps) {
  const Adapter adapter = small_adapter();
  Matrix storage(4, 5);
  merge_into(storage.view().block(0, 1, 4, 3), adapter.modules.at("model.q"), 1.5, "model.q");
  EXPECT_FLOAT_EQ(storage(0, 3), 1.5f * (1.f * 1.f + 0.f * 2.5f));
  EXPECT_FLOAT_EQ(storage(3, 1), 1.5f * (-5.f * 0.f + -6.f * 1.5f));
  EXPECT_EQ(storage(1, 0), 0.f);
  EXPECT_EQ(storage(1, 4), 0.f);
}

TEST(Adapter, RefusesToMergeIntoAnotherShape) {
  const Adapter adapter = small_adapter();
  Matrix weight(3, 4);
  try {
    merge_into(weight.view(), adapter.modules.at("model.q"), 1, "model.q");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(),
                 "model.q: expected adapter factors for a weight of shape [3, 4], found A [2, 3] "
                 "and B [4, 2]");
  }
}

TEST(Adapter, RefusesEveryMalformedFolderWithOneLine) {
  const auto cases = test::malformed_cases("adapter");
  ASSERT_GE(cases.size(), 40u);
  for (const auto& [path, expected] : cases) {
    SCOPED_TRACE(path);
    try {
      load(path);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& error) {
      const std::string line = error.what();
      EXPECT_TRUE(line.starts_with(path.string())) << line;
      EXPECT_NE(line.find(expected), std::string::npos) << line;
    }
  }
}

TEST(Adapter, KeepsEightBitsOfAFactorAndTakesAQuarterOfTheRoom) {
  Adapter adapter;
  adapter.config.rank = 3;
  adapter.config.target_modules = {"q"};
  Factors factors{Matrix(3, 200), Matrix(70, 3)};
  for (std::int64_t i = 0; i < factors.a.size(); ++i) {
    factors.a.data()[i] = std::sin(static_cast<float>(i));
  }
  for (std::int64_t i = 0; i < factors.b.size(); ++i) {
    factors.b.data()[i] = 100.f * std::cos(static_cast<float>(i * i));
  }
  adapter.modules["model.q"] = factors;
  const test::TemporaryFolder folder;
  save(adapter, folder.path(), ElementType::i8);
  const Adapter back = load(folder.path());
  EXPECT_LT(largest_difference(back.modules.at("model.q").a, factors.a), 0.02);
  EXPECT_LT(largest_difference(back.modules.at("model.q").b, factors.b), 2.0);
  // 3 vectors of 200 and of 70: a byte a value, two a scale of 64.
  EXPECT_EQ(stored_bytes(adapter.config, {{"model.q", {70, 200}}}, ElementType::i8),
            3u * (200 + 2 * 4 + 70 + 2 * 2));
}

TEST(Adapter, EightBitsOfZeroAreZero) {
  Adapter adapter = small_adapter();
  std::ranges::fill(adapter.modules.at("model.q").b.values(), 0.f);
  const test::TemporaryFolder folder;
  save(adapter, folder.path(), ElementType::i8);
  EXPECT_EQ(largest_difference(load(folder.path()).modules.at("model.q").b, Matrix(4, 2)), 0.0);
}

TEST(Adapter, NamesCodesWithoutScalesAndScalesThatDoNotFit) {
  const test::TemporaryFolder folder;
  save(small_adapter(), folder.path(), ElementType::i8);
  const fs::path path = folder / "adapter_model.safetensors";
  for (const auto& [change, expected] :
       {std::pair("leave out",
                  "lora_A.weight.scales: expected scales beside the codes, found none"),
        std::pair("shorten", "lora_A.weight.scales: expected")}) {
    std::vector<std::vector<std::byte>> data;
    std::vector<io::TensorInfo> infos;
    {
      const io::SafetensorsFile file(path);
      for (io::TensorInfo info : file.tensors()) {
        const auto bytes = file.bytes(info);
        data.emplace_back(bytes.begin(), bytes.end());
        if (info.name.ends_with("lora_A.weight.scales")) {
          if (std::string_view(change) == "leave out") {
            data.pop_back();
            continue;
          }
          info.shape = {1, 1};
          data.back().resize(2);
        }
        infos.push_back(info);
      }
    }
    std::vector<io::NamedBytes> tensors;
    for (std::size_t i = 0; i < infos.size(); ++i) tensors.push_back({infos[i], data[i]});
    const test::TemporaryFolder spoiled;
    io::write_safetensors(spoiled / "adapter_model.safetensors", tensors);
    copy_file_whole(folder / "adapter_config.json", spoiled / "adapter_config.json");
    try {
      load(spoiled.path());
      FAIL() << change;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

// An adapter of one component: all of A is `a`, all of B `b`.
struct SmallFactors {
  SmallFactors(float a, float b) {
    adapter.config.rank = 1;
    adapter.config.alpha = 2;
    Factors factors{Matrix(1, 2), Matrix(2, 1)};
    std::ranges::fill(factors.a.values(), a);
    std::ranges::fill(factors.b.values(), b);
    adapter.modules["model.q"] = std::move(factors);
  }
  float a() const { return adapter.modules.at("model.q").a(0, 0); }
  float b() const { return adapter.modules.at("model.q").b(0, 0); }
  double product() const { return adapter.config.scale_of("model.q") * a() * b(); }
  Adapter adapter;
};

TEST(SmallFactors, AreRaisedByPowersOfTwoThatLeaveTheirProducts) {
  struct Case {
    const char* name;
    float a, b;        // before
    float to_a, to_b;  // after
    double alpha;      // after; 2 before
  };
  for (const auto& [name, a, b, to_a, to_b, alpha] :
       {Case{"as the type tells apart", 0.25f, 0.125f, 0.25f, 0.125f, 2},
        Case{"one small, the other not", 0x1p-1f, 0x1p-9f, 0x1p-5f, 0x1p-5f, 2},
        Case{"both small", 0x1p-10f, 0x1p-12f, 0x1p-4f, 0x1p-4f, 0x1p-13},
        Case{"b is zero", 0.25f, 0.f, 0.25f, 0.f, 2}}) {
    SmallFactors small(a, b);
    const double before = small.product();
    raise_small_factors(small.adapter);
    EXPECT_EQ(small.a(), to_a) << name;
    EXPECT_EQ(small.b(), to_b) << name;
    EXPECT_EQ(small.adapter.config.alpha, alpha) << name;
    EXPECT_EQ(small.product(), before) << name;
  }
}

TEST(SmallFactors, AreRaisedNoFurtherThanTheGreatestBesideThemCan) {
  SmallFactors small(0x1p-10f, 0x1p-10f);
  small.adapter.modules["model.k"] = small.adapter.modules.at("model.q");
  small.adapter.modules["model.v"] = SmallFactors(8.f, 8.f).adapter.modules.at("model.q");
  raise_small_factors(small.adapter);
  EXPECT_EQ(small.a(), 0x1p-7f);
  EXPECT_EQ(small.adapter.modules.at("model.v").a(0, 0), 64.f);
}

}  // namespace
}  // namespace qloft::adapter
