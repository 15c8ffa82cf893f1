// What these commands write is the same to the byte in every instruction set and on any number of
// threads (docs/reliability.md, Same bits): each runs by the portable kernels on one thread, then
// by every other set on two. Only times and the peak of memory may differ.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false under a sanitizer, GCC bug 105562
#include <regex>
#pragma GCC diagnostic pop

#include "qloft/architecture.h"
#include "qloft/core/cpu.h"
#include "qloft/core/random.h"
#include "qloft/io.h"
#include "temporary_folder.h"

namespace {

namespace fs = std::filesystem;

// Matrices of the tiny model and how they are stored: every code book, scale rule and scale type.
struct Stored {
  const char* matrix;
  int bits;
  const char* codebook;
  int block;
  const char* scale;
  const char* scale_type;  // "dynamic" and "uniform": quantized themselves
};
constexpr Stored kStored[] = {
    {"0.self_attn.q_proj", 2, "nf", 16, "mse", "bf16"},
    {"0.self_attn.k_proj", 4, "nf", 64, "absmax", "dynamic"},
    {"0.self_attn.v_proj", 4, "nf", 16, "mse", "uniform"},
    {"0.self_attn.o_proj", 3, "lloyd", 32, "mse", "f16"},
    {"0.mlp.gate_proj", 6, "lloyd", 32, "mse", "f32"},
    {"0.mlp.up_proj", 2, "lloyd", 16, "absmax", "bf16"},
    {"0.mlp.down_proj", 5, "uniform", 32, "mse", "f16"},
    {"1.self_attn.q_proj", 3, "uniform-asymmetric", 16, "absmax", "bf16"},
    {"1.self_attn.k_proj", 2, "uniform-asymmetric", 0, "mse", "f16"},
    {"1.self_attn.v_proj", 1, "binary", 16, "mse", "f16"},
    {"1.self_attn.o_proj", 2, "ternary", 32, "mse", "bf16"},
    {"1.mlp.gate_proj", 3, "residual-binary", 16, "mse", "f32"},
    {"1.mlp.up_proj", 1, "trellis-short", 32, "mse", "f16"},
    {"1.mlp.down_proj", 4, "trellis", 16, "mse", "bf16"},
};

nlohmann::json plan_of_every_format() {
  nlohmann::json plan = {{"version", 1}};
  for (const auto& [matrix, bits, codebook, block, scale, scale_type] : kStored) {
    auto& format = plan["formats"][matrix] = {
        {"bits", bits}, {"codebook", codebook}, {"block", block}, {"scale", scale}};
    const std::string type = scale_type;
    if (type == "dynamic" || type == "uniform") {
      format["second_level"] = {{"bits", 8}, {"block", 16}, {"type", "f32"}, {"code", type}};
    } else {
      format["scale_type"] = type;
    }
    plan["matrices"]["model.layers." + std::string(matrix) + ".weight"] = matrix;
  }
  return plan;
}

// A model whose matrices are wide enough for products in 8 bits.
void write_wide_model(const fs::path& folder) {
  fs::create_directory(folder);
  const nlohmann::json config = {{"model_type", "llama"},      {"hidden_size", 528},
                                 {"intermediate_size", 544},   {"num_hidden_layers", 1},
                                 {"num_attention_heads", 8},   {"num_key_value_heads", 8},
                                 {"vocab_size", 32},           {"max_position_embeddings", 32},
                                 {"tie_word_embeddings", true}};
  std::ofstream(folder / "config.json") << config;
  const auto layout = qloft::architecture::read_layout(config, "config.json");
  qloft::Random random(7);
  std::vector<std::vector<float>> values;
  std::vector<qloft::io::NamedBytes> tensors;
  for (const qloft::architecture::Parameter& parameter : layout.parameters) {
    if (parameter.tied_to != qloft::architecture::kNoParameter) continue;
    auto& own = values.emplace_back(static_cast<std::size_t>(parameter.elements()));
    random.fill_normal(own, 0.f, 0.02f);
    qloft::io::TensorInfo info;
    info.name = parameter.name;
    info.type = qloft::ElementType::f32;
    info.shape = parameter.shape;
    tensors.push_back({info, std::as_bytes(std::span(own))});
  }
  qloft::io::write_safetensors(folder / "model.safetensors", tensors, {});
}

struct Job {
  const char* name;
  const char* before;  // runs once
  const char* run;
};
void PrintTo(const Job& job, std::ostream* out) {
  *out << job.name;
}

constexpr char kCalibrate[] =
    "calibrate $bundled --data $tmp/text.txt --samples 1 --length 32 -o $tmp/stats";
constexpr Job kJobs[] = {
    {"QuantizeToEveryFormat", "",
     "quantize $tiny --method qlora --rank 0 --plan $tmp/plan.json -o $out"},
    {"QuantizeAndTheSvdInTurns", "",
     "quantize $tiny --method loftq --codebook lloyd --scale mse --bits 2 --rank 4 -o $out"},
    {"QuantizeWideMatricesAndTheSvdInTurns", "",
     "quantize $wide --method loftq --bits 3 --rank 4 --iterations 2 -o $out"},
    {"QuantizeInAMetricByTrellisCodes", kCalibrate,
     "quantize $bundled --method qloft --bits 2 --rank 2 --stats $tmp/stats -o $out "
     "--target-modules layers.0.self_attn.v_proj --iterations 2"},
    {"QuantizeInAMetricByFittedScales", kCalibrate,
     "quantize $bundled --method qloft --bits 2 --rank 2 --stats $tmp/stats -o $out "
     "--target-modules layers.0.self_attn.v_proj --codebook lloyd --scale mse"},
    {"PlanByTheErrorsOfManyFormats", "",
     "plan $tiny --candidates wide --bits 3 --rank 4 -o $out/plan.json"},
    {"Merge", "quantize $tiny --method loftq --bits 3 --rank 4 -o $tmp/low",
     "merge $tmp/low -o $out"},
};

class SameBits : public ::testing::TestWithParam<Job> {
 protected:
  SameBits() {
    std::ofstream(folder_ / "plan.json") << plan_of_every_format();
    std::ofstream text(folder_ / "text.txt");
    write_wide_model(folder_ / "wide");
    for (int i = 0; i < 9; ++i) text << "Tom has 3 apples and buys 5 more, then gives 2 away.\n";
  }

  void run(const std::string& settings, const std::string& arguments) {
    const std::string tmp = folder_.path().string();
    const std::string tiny = QLOFT_TEST_DATA "/golden/models/llama_llama3",
                      bundled = QLOFT_TEST_DATA "/../examples/bundled/model",
                      names = "tmp=" + tmp + " out=" + tmp + "/out wide=" + tmp +
                              "/wide tiny=" + tiny + " bundled=" + bundled,
                      command = names + "; " + settings + " " QLOFT_PROGRAM " " + arguments +
                                " --quiet >$tmp/printed 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << command << "\n" << contents(folder_ / "printed");
  }

  // Of all files in $out, which is gone afterwards.
  std::map<std::string, std::string> written(const std::string& settings,
                                             const std::string& command) {
    fs::create_directory(folder_ / "out");
    run(settings, command);
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "out")) {
      if (!entry.is_regular_file()) continue;
      std::string& text = files[fs::relative(entry.path(), folder_ / "out").string()];
      text = contents(entry.path());
      if (entry.path().extension() != ".json") continue;
      static const std::regex measured(R"re(("(\w*seconds|peak_memory)": ?)[-+.e\d]+)re");
      text = std::regex_replace(text, measured, "$1_");
    }
    fs::remove_all(folder_ / "out");
    return files;
  }

 private:
  static std::string contents(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  qloft::test::TemporaryFolder folder_;
};

TEST_P(SameBits, InEveryInstructionSetAndOnAnyNumberOfThreads) {
  const Job& job = GetParam();
  if (*job.before != '\0') run("", job.before);
  const auto expected = written("QLOFT_ISA=portable", std::string(job.run) + " --threads 1");
  ASSERT_FALSE(expected.empty());
  const auto sets = qloft::supported_instruction_sets();
  for (const qloft::InstructionSet set : sets) {
    if (set == qloft::InstructionSet::portable && sets.size() > 1) continue;
    const std::string isa = "QLOFT_ISA=" + std::string(qloft::name(set));
    const auto found = written(isa, std::string(job.run) + " --threads 2");
    ASSERT_EQ(found.size(), expected.size()) << isa;
    for (const auto& [name, bytes] : expected) {
      EXPECT_TRUE(found.contains(name) && found.at(name) == bytes) << isa << ": " << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Commands, SameBits, ::testing::ValuesIn(kJobs),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
