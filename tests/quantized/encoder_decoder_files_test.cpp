// Tensors that checkpoints of encoder-decoders lack or have twice, on checkpoints of
// tests/golden/make_seq2seq.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/io.h"
#include "qloft/quantized/model_files.h"
#include "temporary_folder.h"

namespace qloft::quantized {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;

class PairFiles : public testing::Test {
 protected:
  static fs::path golden_pair(const std::string& name) {
    return fs::path(QLOFT_TEST_DATA) / "golden/seq2seq" / name;
  }
  // A golden checkpoint with other tensors: change(tensors) by name, F32.
  template <typename Change>
  fs::path copy_with(const std::string& name, const Change& change) const {
    fs::copy_file(golden_pair(name) / "config.json", folder_ / "config.json");
    const io::SafetensorsFile file(golden_pair(name) / "model.safetensors");
    std::vector<io::NamedBytes> tensors;
    for (const io::TensorInfo& info : file.tensors()) tensors.push_back({info, file.bytes(info)});
    change(tensors);
    io::write_safetensors(folder_ / "model.safetensors", tensors, {});
    return folder_.path();
  }
  static Matrix read_of(const ModelFiles& files, const std::string& name) {
    return files.read_matrix(architecture::find(files.layout(), name));
  }
  test::TemporaryFolder folder_;
};

TEST_F(PairFiles, ABiasOfLogitsThatIsMissingIsZero) {
  const ModelFiles files(golden_pair("bart_bare"));
  EXPECT_THAT(files.warnings(), IsEmpty());
  EXPECT_EQ(read_of(files, "final_logits_bias")(0, 5), 0.f);
}

TEST_F(PairFiles, AnOutputMatrixThatIsMissingIsTheEmbedding) {
  const ModelFiles files(copy_with("t5_gated", [](auto& tensors) {
    std::erase_if(tensors, [](const auto& t) { return t.info.name == "lm_head.weight"; });
  }));
  const Matrix output = read_of(files, "lm_head.weight"),
               embedding = read_of(files, "shared.weight");
  EXPECT_TRUE(std::ranges::equal(output.values(), embedding.values()));
  EXPECT_TRUE(architecture::has_tied_output(files.layout()));
  EXPECT_EQ(files.layout().output.multiplier, 1);
}

TEST_F(PairFiles, CopiesOfTheEmbeddingAreNoTensorsOfTheModel) {
  const ModelFiles files(copy_with("t5", [](auto& tensors) {
    io::NamedBytes copy = *std::ranges::find_if(
        tensors, [](const auto& t) { return t.info.name == "shared.weight"; });
    copy.info.name = "decoder.embed_tokens.weight";
    tensors.push_back(copy);
  }));
  EXPECT_THAT(files.foreign(), ::testing::ElementsAre("decoder.embed_tokens.weight"));
}

TEST_F(PairFiles, TheEmbeddingMayBeStoredAsTheEncoders) {
  const ModelFiles files(copy_with("bart_bare", [](auto& tensors) {
    std::ranges::find_if(tensors, [](const auto& t) {
      return t.info.name == "shared.weight";
    })->info.name = "encoder.embed_tokens.weight";
  }));
  EXPECT_THAT(files.foreign(), IsEmpty());
  EXPECT_EQ(read_of(files, "model.shared.weight").rows(), 64);
}

}  // namespace
}  // namespace qloft::quantized
