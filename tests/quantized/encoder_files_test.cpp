// Heads of encoders that a checkpoint lacks, on checkpoints of tests/golden/make_encoders.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/quantized/model_files.h"
#include "temporary_folder.h"

namespace qloft::quantized {
namespace {

namespace fs = std::filesystem;
using architecture::HeadKind;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class EncoderFiles : public testing::Test {
 protected:
  // A golden checkpoint under another class of transformers.
  fs::path copy_as(const std::string& name, const std::string& architecture) const {
    const fs::path golden = fs::path(QLOFT_TEST_DATA) / "golden/encoders" / name;
    fs::copy_file(golden / "model.safetensors", folder_ / "model.safetensors");
    io::Json config = io::read_json(golden / "config.json");
    config["architectures"] = {architecture};
    io::write_json(folder_ / "config.json", config);
    return folder_.path();
  }
  static Matrix read(const ModelFiles& files, const std::string& name) {
    return files.read_matrix(architecture::find(files.layout(), name));
  }
  test::TemporaryFolder folder_;
};

TEST_F(EncoderFiles, AHeadThatIsMissingIsMadeAnewAndSaid) {
  const fs::path folder = copy_as("bert_spans", "BertForSequenceClassification");
  const ModelFiles files(folder);
  EXPECT_THAT(files.head_warning(), HasSubstr("classifier.weight"));
  EXPECT_THAT(files.head_warning(), HasSubstr("made anew (seed 0)"));
  const Matrix weight = read(files, "classifier.weight");
  EXPECT_EQ(weight.rows(), 2);
  EXPECT_NE(weight(0, 0), 0.f);
  EXPECT_EQ(read(files, "classifier.bias")(0, 1), 0.f);
}

TEST_F(EncoderFiles, TheSeedMakesAHead) {
  const fs::path folder = copy_as("bert_spans", "BertForSequenceClassification");
  const auto of_seed = [&](std::uint64_t seed) {
    return read(ModelFiles(folder, std::nullopt, seed), "classifier.weight");
  };
  EXPECT_TRUE(std::ranges::equal(of_seed(1).values(), of_seed(1).values()));
  EXPECT_FALSE(std::ranges::equal(of_seed(1).values(), of_seed(2).values()));
}

TEST_F(EncoderFiles, AHeadForOtherLabelsThanAskedForIsMadeAnew) {
  const fs::path folder = copy_as("bert_sequence", "BertForSequenceClassification");
  EXPECT_THAT(ModelFiles(folder).head_warning(), IsEmpty());
  const ModelFiles files(folder, architecture::HeadRequest{.labels = {"a", "b"}});
  EXPECT_EQ(read(files, "classifier.weight").rows(), 2);
  EXPECT_THAT(files.head_warning(), HasSubstr("classifier"));
  EXPECT_THAT(files.head_warning(), ::testing::Not(HasSubstr("pooler")));
  EXPECT_EQ(files.config()["label2id"]["b"], 1);
}

TEST_F(EncoderFiles, AModelLoadsWithoutTheHeadsOfItsCheckpoint) {
  const ModelFiles files(copy_as("bert_sequence", "BertModel"));
  EXPECT_EQ(files.layout().head.kind, HeadKind::states);
  EXPECT_THAT(files.warnings(), IsEmpty());
  EXPECT_THAT(files.foreign(), SizeIs(4));
}

TEST_F(EncoderFiles, AHeadThatADecoderLacksIsRefused) {
  const fs::path folder = fs::path(QLOFT_TEST_DATA) / "golden/models/qwen2";
  EXPECT_THROW(ModelFiles(folder, architecture::HeadRequest{}), InputError);
}

}  // namespace
}  // namespace qloft::quantized
