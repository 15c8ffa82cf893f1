#include "qloft/pipeline/merge.h"

#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "qloft/adapter.h"
#include "qloft/core/error.h"
#include "qloft/objectives.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/quantized/model_files.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "tiny_llama.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;

class Merge : public ::testing::Test {
 protected:
  void make_quantized(bool tied = false) {
    test::write_tiny_llama(folder_ / "base", tied);
    QuantizeOptions options;
    options.model = (folder_ / "base").string();
    options.output = folder_ / "quantized";
    options.bits = 4;
    options.rank = 8;
    options.alpha = 4;
    quantize(options, silent_);
  }
  MergeOptions options(const std::string& model, const std::string& dtype = "f32") const {
    MergeOptions options;
    options.model = (folder_ / model).string();
    options.output = folder_ / "merged";
    options.dtype = dtype;
    return options;
  }
  // An adapter of ones on `module` of shape [out, in].
  void write_adapter(const std::string& name, const std::string& module, std::int64_t out,
                     std::int64_t in) {
    adapter::Adapter adapter;
    adapter.config.rank = 1;
    adapter.config.alpha = 2;
    adapter::Factors factors{Matrix(1, in), Matrix(out, 1)};
    for (float& value : factors.a.values()) value = 1;
    for (float& value : factors.b.values()) value = 0.25f;
    adapter.modules[module] = std::move(factors);
    fs::create_directory(folder_ / name);
    adapter::save(adapter, folder_ / name);
  }
  std::string refused(const MergeOptions& options) const { return test::refusal(merge, options); }

  test::TemporaryFolder folder_;
  Progress silent_;
};

TEST_F(Merge, WritesTheBaseAloneWhereNoAdapterIsWanted) {
  make_quantized();
  MergeOptions bare = options("quantized");
  bare.bare = true;
  EXPECT_EQ(merge(bare, silent_).merged, 0);
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const quantized::ModelFiles files(folder_ / "quantized");
  const Matrix q = files.read_matrix(architecture::find(files.layout(), name));
  const Matrix merged = checkpoint::Checkpoint(folder_ / "merged").read_matrix(name);
  EXPECT_TRUE(std::ranges::equal(q.values(), merged.values()));
}

TEST_F(Merge, RefusesAnAdapterOfAnotherBaseUnlessAnyIsTaken) {
  make_quantized();
  MergeOptions wrong = options("base");
  wrong.adapter = (folder_ / "quantized/adapter").string();
  EXPECT_NE(refused(wrong).find("base_model_name_or_path: expected an adapter of"),
            std::string::npos);
  wrong.any_base = true;
  EXPECT_EQ(refused(wrong), "accepted");
  fs::rename(folder_ / "merged", folder_ / "merged_before");
  fs::copy(folder_ / "quantized", folder_ / "copy", fs::copy_options::recursive);
  MergeOptions same = options("copy");
  same.adapter = (folder_ / "quantized/adapter").string();
  EXPECT_EQ(refused(same), "accepted");
}

TEST_F(Merge, WritesNoValueThatIsNotFinite) {
  make_quantized();
  const std::string module = "model.layers.0.mlp.up_proj", weight = module + ".weight";
  write_adapter("huge", module, 40, 32);
  io::Json config = io::read_json(folder_ / "huge/adapter_config.json");
  config["lora_alpha"] = 9e5;  // 225,000 in each element
  io::write_json(folder_ / "huge/adapter_config.json", config);
  MergeOptions huge = options("base", "f16");
  huge.adapter = (folder_ / "huge").string();
  EXPECT_EQ(test::failure([&] { merge(huge, silent_); }),
            huge.adapter + ": " + weight + ": its merged values are too large for f16");
  EXPECT_FALSE(fs::exists(folder_ / "merged"));
  huge.dtype = "f32";
  EXPECT_EQ(refused(huge), "accepted");

  test::spoil(folder_ / "base", folder_ / "spoiled", "model.norm.weight", NAN);
  for (const char* dtype : {"bf16", "f32"}) {  // copied as it is, and converted
    MergeOptions spoiled = options("spoiled", dtype);
    spoiled.adapter = huge.adapter;
    spoiled.overwrite = true;
    EXPECT_EQ(refused(spoiled),
              spoiled.model + ": model.norm.weight: expected finite values, found infinity or NaN");
  }
}

TEST_F(Merge, MultipliesOutTheAdapterInsideAQuantizedFolder) {
  make_quantized();
  const MergeReport report = merge(options("quantized"), silent_);
  EXPECT_EQ(report.merged, 14);
  EXPECT_EQ(report.dequantized, 14);
  const checkpoint::Checkpoint base(folder_ / "base"), source(folder_ / "quantized"),
      merged(folder_ / "merged");
  EXPECT_EQ(merged.names(), base.names());
  EXPECT_FALSE(merged.config().contains("quantization_config"));
  EXPECT_EQ(merged.config()["torch_dtype"], "float32");
  EXPECT_EQ(read_file(folder_ / "merged/tokenizer.json"), "{}");

  const std::string module = "model.layers.1.mlp.gate_proj";
  const auto entry = quantized::read_config(source)->matrices.at(module + ".weight");
  Matrix expected(entry.rows, entry.columns);
  quant::dequantize(quantized::read_matrix(source, module + ".weight", entry), expected.view());
  const adapter::Adapter adapter = adapter::load(folder_ / "quantized/adapter");
  adapter::merge_into(expected.view(), adapter.modules.at(module), 0.5, module);
  const Matrix found = merged.read_matrix(module + ".weight");
  for (std::int64_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found.data()[i], expected.data()[i]);
  }
}

TEST_F(Merge, AddsAnAdapterToAPlainModel) {
  test::write_tiny_llama(folder_ / "base");
  write_adapter("adapter", "model.layers.0.self_attn.o_proj", 32, 32);
  MergeOptions o = options("base");
  o.adapter = (folder_ / "adapter").string();
  EXPECT_EQ(merge(o, silent_).merged, 1);
  const checkpoint::Checkpoint base(folder_ / "base"), merged(folder_ / "merged");
  for (const std::string& name : base.names()) {
    const bool adapted = name == "model.layers.0.self_attn.o_proj.weight";
    const Matrix before = base.read_matrix(name), after = merged.read_matrix(name);
    for (std::int64_t i = 0; i < before.size(); ++i) {
      ASSERT_FLOAT_EQ(after.data()[i], before.data()[i] + (adapted ? 0.5f : 0.f)) << name;
    }
  }
}

TEST_F(Merge, TakesTheTypeOfTheModelWhereNoneIsNamed) {
  make_quantized();
  MergeOptions o = options("quantized", "");
  EXPECT_EQ(merge(o, silent_).dtype, "bf16");
  const checkpoint::Checkpoint merged(folder_ / "merged");
  EXPECT_EQ(merged.info("model.norm.weight").type, ElementType::bf16);
  o.overwrite = true;
  o.dtype = "f16";
  merge(o, silent_);
  EXPECT_EQ(checkpoint::Checkpoint(folder_ / "merged").info("model.norm.weight").type,
            ElementType::f16);
}

TEST_F(Merge, UntiesAnAdaptedOutputMatrix) {
  test::write_tiny_llama(folder_ / "base", /*tied=*/true);
  write_adapter("adapter", "lm_head", 24, 32);
  MergeOptions o = options("base");
  o.adapter = (folder_ / "adapter").string();
  merge(o, silent_);
  const checkpoint::Checkpoint merged(folder_ / "merged");
  EXPECT_EQ(merged.config()["tie_word_embeddings"], false);
  EXPECT_FLOAT_EQ(merged.read_matrix("lm_head.weight")(3, 4),
                  merged.read_matrix("model.embed_tokens.weight")(3, 4) + 0.5f);
}

TEST_F(Merge, KeepsTheScaleOfAT5WhoseOutputMatrixIsAdapted) {
  write_adapter("adapter", "lm_head", 64, 16);
  io::Json config = io::read_json(folder_ / "adapter/adapter_config.json");
  config["task_type"] = "SEQ_2_SEQ_LM";
  io::write_json(folder_ / "adapter/adapter_config.json", config);
  MergeOptions o = options("");
  o.model = std::string(QLOFT_TEST_DATA) + "/golden/seq2seq/t5";
  o.adapter = (folder_ / "adapter").string();
  merge(o, silent_);
  const architecture::Layout layout = quantized::ModelFiles(folder_ / "merged").layout();
  EXPECT_FALSE(architecture::has_tied_output(layout));
  EXPECT_EQ(layout.output.multiplier, 0.25);
}

// Golden adapters of PEFT on the embedding, with the base's output matrix tied to it or not.
TEST_F(Merge, AnAdaptedEmbeddingGivesTheLossThatItGivesAttached) {
  const fs::path golden = fs::path(QLOFT_TEST_DATA) / "golden/embedding_adapters";
  for (const char* name : {"untied", "tied"}) {
    MergeOptions o = options("");
    o.model = (golden / name / "model").string();
    o.adapter = (golden / name / "adapter").string();
    o.output = folder_ / name;
    merge(o, silent_);
    const io::Json expected = io::read_json(golden / name / "expected.json");
    std::vector<at::Tensor> rows;
    for (const auto& row : expected["ids"]) {
      rows.push_back(at::tensor(row.get<std::vector<std::int64_t>>(), at::kLong));
    }
    auto model = model::Model::load(quantized::ModelFiles(o.output), {}, silent_);
    const auto loss = objectives::next_token(model, {.ids = at::stack(rows)});
    EXPECT_NEAR(loss.sum.item<double>() / static_cast<double>(loss.count),
                expected["loss"].get<double>(), 1e-5)
        << name;
  }
}

TEST_F(Merge, RefusesAnAdapterWhoseCopyOfABaseMatrixDiffers) {
  const fs::path golden = fs::path(QLOFT_TEST_DATA) / "golden/embedding_adapters";
  MergeOptions o = options("");
  o.model = (golden / "tied/model").string();
  o.adapter = (golden / "untied/adapter").string();
  EXPECT_THAT(refused(o), testing::HasSubstr("lm_head.base_layer.weight: expected the values of"));
}

TEST_F(Merge, GoesOnAfterAnInterruptionToTheSameBytes) {
  make_quantized();
  merge(options("quantized"), silent_);
  const std::string whole = read_file(folder_ / "merged/model.safetensors");
  fs::remove_all(folder_ / "merged");
  test::StoppingProgress stopping(4);
  EXPECT_THROW(merge(options("quantized"), stopping), Interrupted);
  EXPECT_FALSE(fs::exists(folder_ / "merged"));
  merge(options("quantized"), silent_);
  EXPECT_EQ(read_file(folder_ / "merged/model.safetensors"), whole);
}

TEST_F(Merge, RefusesAnAdapterForAnotherModel) {
  test::write_tiny_llama(folder_ / "base");
  write_adapter("wide", "model.layers.0.self_attn.o_proj", 32, 33);
  write_adapter("deep", "model.layers.7.self_attn.o_proj", 32, 32);
  MergeOptions o = options("base");
  o.adapter = (folder_ / "wide").string();
  EXPECT_NE(refused(o).find("model.layers.0.self_attn.o_proj: expected factors for this model's "
                            "weight of shape [32, 32], found A [1, 33] and B [32, 1]"),
            std::string::npos);
  o.adapter = (folder_ / "deep").string();
  EXPECT_NE(refused(o).find("model.layers.7.self_attn.o_proj: expected a module of this model"),
            std::string::npos);
}

TEST_F(Merge, LeavesAnotherCommandsInterruptedRunAlone) {
  make_quantized();
  const fs::path state = folder_ / "merged.partial/training/training_state.safetensors";
  fs::create_directories(state.parent_path());
  write_file(state, "many hours of work");
  FileLock(folder_ / "merged.partial/.qloft-lock", folder_ / "merged").sign("finetune");
  EXPECT_NE(refused(options("quantized")).find("interrupted run of another command"),
            std::string::npos);
  EXPECT_TRUE(fs::exists(state));
}

TEST_F(Merge, RefusesAnUnknownType) {
  make_quantized();
  EXPECT_EQ(refused(options("quantized", "f8")), "dtype: expected f32, bf16 or f16, found 'f8'");
}

TEST_F(Merge, RefusesAPlainModelWithoutAnAdapter) {
  test::write_tiny_llama(folder_ / "base");
  EXPECT_NE(refused(options("base")).find("expected a quantized model or an adapter to merge"),
            std::string::npos);
}

}  // namespace
}  // namespace qloft::pipeline
