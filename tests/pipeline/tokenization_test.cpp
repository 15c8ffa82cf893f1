// Which tokenizer and chat template go with a model and its adapter, and what training sees of the
// data.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "progress.h"
#include "qloft/core/error.h"
#include "qloft/pipeline/evaluate.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/generate.h"
#include "qloft/pipeline/merge.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "trained_toy.h"

namespace qloft::pipeline {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kTurns =
    "{% for m in messages %}{{ m.role[0] }} {{ m.content }}{{ eos_token }}{% endfor %}";

// A model without a chat template, and conversations.
class Texts : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_trained_toy(folder_.path(), "full", 4);
    write_file(folder_ / "turns.jinja", kTurns);
    const auto message = [](const char* role, const char* content) {
      return io::Json{{"role", role}, {"content", content}};
    };
    std::string rows;
    for (const io::Json& messages :
         {io::Json::array({message("user", "abc"), message("assistant", "de")}),
          io::Json::array({message("user", "xyz")}),
          io::Json::array({message("assistant", "f")})}) {
      rows += io::Json{{"messages", messages}}.dump() + "\n";
    }
    write_file(folder_ / "chats.jsonl", rows);
  }

  FinetuneOptions lora(const std::string& output) const {
    FinetuneOptions o;
    o.model = (folder_ / "full").string();
    o.data = {folder_ / "chats.jsonl"};
    o.output = folder_ / output;
    o.rank = 2;
    o.chat_template = folder_ / "turns.jinja";
    o.train.max_steps = 2;
    o.train.length = 32;
    o.train.batch = 1;
    return o;
  }
  double loss(const std::string& adapter, const fs::path& chat_template = {}) {
    EvaluateOptions o;
    o.model.model = (folder_ / "full").string();
    o.model.adapter = adapter.empty() ? "" : (folder_ / adapter).string();
    o.model.chat_template = chat_template;
    o.task = "loss";
    o.data = folder_ / "chats.jsonl";
    return *evaluate(o, said_).scores.find("loss");
  }
  std::string merged_template() {
    MergeOptions o;
    o.model = (folder_ / "full").string();
    o.adapter = (folder_ / "tuned").string();
    o.output = folder_ / "merged";
    merge(o, said_);
    return read_file(folder_ / "merged/chat_template.jinja");
  }

  test::TemporaryFolder folder_;
  test::Said said_;
};

TEST_F(Texts, AnAdapterCarriesTheTokenizerAndTheTemplateThatItWasTrainedWith) {
  finetune(lora("tuned"), said_);
  EXPECT_EQ(read_file(folder_ / "tuned/tokenizer.json"),
            read_file(folder_ / "full/tokenizer.json"));
  EXPECT_EQ(read_file(folder_ / "tuned/chat_template.jinja"), kTurns);

  EXPECT_THAT(test::refusal([&] { loss(""); }), HasSubstr("no chat template"));
  EXPECT_EQ(loss("tuned"), loss("tuned", folder_ / "turns.jinja"));
  write_file(folder_ / "other.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
  EXPECT_NE(loss("tuned"), loss("tuned", folder_ / "other.jinja"));
  EXPECT_THAT(said_.warnings, HasSubstr("have no end token behind what is learned"));

  EXPECT_EQ(merged_template(), kTurns);
  ChatOptions chat;
  chat.model.model = (folder_ / "merged").string();
  chat.max_tokens = 2;
  EXPECT_EQ(Conversation(chat, said_).active_adapter(), "base");
}

TEST_F(Texts, AFolderOfATemplateMustHaveOne) {
  fs::create_directory(folder_ / "turns");
  FinetuneOptions o = lora("tuned");
  o.chat_template = folder_ / "turns";
  EXPECT_EQ(test::refusal(finetune, o, folder_.path()),
            "turns: expected a chat template, found a folder without one");
  write_file(folder_ / "turns/chat_template.jinja", kTurns);
  EXPECT_EQ(test::refusal(finetune, o, folder_.path()), "accepted");
}

TEST_F(Texts, ATemplateThatRendersNothingIsNamed) {
  write_file(folder_ / "nothing.jinja", "");
  GenerateOptions o;
  o.model.model = (folder_ / "full").string();
  o.model.chat_template = folder_ / "nothing.jinja";
  o.chat = true;
  o.prompt = "abc";
  EXPECT_THAT(test::refusal([&] { generate(o, {}, said_); }),
              HasSubstr("nothing.jinja: chat_template: expected a prompt of at least one token"));
}

TEST_F(Texts, TokensThatTheKindOfModelNamesAreNamedBesideTheAdapter) {
  io::write_json(folder_ / "full/tokenizer_config.json", {{"tokenizer_class", "LlamaTokenizer"}});
  finetune(lora("tuned"), said_);
  EXPECT_EQ(io::read_json(folder_ / "tuned/tokenizer_config.json")["eos_token"], "</s>");
  EXPECT_EQ(loss("tuned"), loss("tuned", folder_ / "turns.jinja"));
}

TEST_F(Texts, ATemplateInTheBasesConfigurationFollowsATokenizerOfAnAdapter) {
  finetune(lora("tuned"), said_);
  fs::remove(folder_ / "tuned/chat_template.jinja");
  io::write_json(folder_ / "full/tokenizer_config.json",
                 {{"eos_token", "</s>"}, {"chat_template", kTurns}});
  EXPECT_EQ(loss("tuned"), loss("tuned", folder_ / "turns.jinja"));
  EXPECT_EQ(merged_template(), kTurns);
}

TEST_F(Texts, AnAdaptersTokenizerMustFitTheEmbedding) {
  finetune(lora("tuned"), said_);
  io::Json tokenizer = io::read_json(folder_ / "tuned/tokenizer.json");
  tokenizer["added_tokens"].push_back({{"id", test::kToyVocabulary},
                                       {"content", "<new>"},
                                       {"single_word", false},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false},
                                       {"special", true}});
  io::write_json(folder_ / "tuned/tokenizer.json", tokenizer);
  EXPECT_THAT(test::refusal([&] { loss("tuned"); }),
              HasSubstr("tuned/tokenizer.json: expected ids below the 28 rows of the base's "
                        "embedding, found tokens up to 28"));
}

TEST_F(Texts, ARunResumesWithATemplateOfTheSameContentsAlone) {
  test::StopIn stop("train", 1);
  FinetuneOptions o = lora("tuned");
  EXPECT_THROW(finetune(o, stop), Interrupted);
  o.train.resume = true;
  o.chat_template = folder_ / "other.jinja";
  // The same ids, yet the adapter would carry another template.
  write_file(o.chat_template, std::string("{# turns #}") + kTurns);
  EXPECT_THAT(test::refusal([&] { finetune(o, said_); }), HasSubstr("setup"));
  write_file(o.chat_template, kTurns);
  finetune(o, said_);
}

TEST_F(Texts, ExamplesAreShownAsTrainingSeesThem) {
  FinetuneOptions o = lora("tuned");
  o.show = 2;
  o.train.max_steps = 0;
  const ShowReport report = show_examples(o, said_);
  ASSERT_EQ(report.shown.size(), 2u);
  const ShownExample& first = report.shown[0];
  EXPECT_EQ(first.file, folder_ / "chats.jsonl");
  EXPECT_EQ(first.location, "line 1");
  EXPECT_THAT(first.tokens,
              ElementsAre("u", " ", "a", "b", "c", "</s>", "a", " ", "d", "e", "</s>"));
  EXPECT_THAT(first.ids, ElementsAre(20, 26, 0, 1, 2, 27, 0, 26, 3, 4, 27));
  // Nothing announces an answer in this template but the turn's beginning.
  EXPECT_THAT(first.learned, ElementsAre(0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1));
  EXPECT_FALSE(first.truncated);
  EXPECT_TRUE(report.shown[1].left_out);
  EXPECT_EQ(report.shown[1].step, std::nullopt);
  EXPECT_EQ(report.examples, 3);
  EXPECT_EQ(report.skipped_examples, 1);
  EXPECT_EQ(report.tokens, 11 + 4);
  EXPECT_EQ(report.learned, 5 + 3);
  EXPECT_EQ(report.steps, 2);
  EXPECT_FALSE(fs::exists(folder_ / "tuned"));
  EXPECT_THAT(said_.warnings, HasSubstr("1 of 3 examples have no token that counts"));
}

TEST_F(Texts, ShownExamplesAreTruncatedAndPackedAsTheRunDoesIt) {
  FinetuneOptions o = lora("tuned");
  o.show = 3;
  o.train.length = 10;
  o.train.max_steps = 0;
  const ShowReport cut = show_examples(o, said_);
  EXPECT_TRUE(cut.shown[0].truncated);
  EXPECT_EQ(cut.shown[0].dropped, 1);
  EXPECT_EQ(cut.shown[0].ids.size(), 10u);

  o.train.length = 16;
  o.train.batching = data::Batching::packed;
  const ShowReport packed = show_examples(o, said_);
  EXPECT_EQ(packed.steps, 1);
  EXPECT_EQ(packed.shown[0].row, 1);
  EXPECT_EQ(packed.shown[0].column, 0);
  EXPECT_EQ(packed.shown[2].row, 1);
  EXPECT_EQ(packed.shown[2].column, 11);

  o.train.batching = data::Batching::padded;
  o.train.max_steps = 1;
  const ShowReport few = show_examples(o, said_);
  EXPECT_NE(few.shown[0].step.has_value(), few.shown[2].step.has_value());
}

}  // namespace
}  // namespace qloft::pipeline
