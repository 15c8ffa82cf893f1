#include "qloft/generate/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "file_settings.h"
#include "refusal.h"
#include "temporary_folder.h"

namespace qloft::generate {
namespace {

using testing::HasSubstr;

TEST(ReadSettings, DrawWhereTheFileDoes) {
  const io::Json filters = {{"temperature", 0.6}, {"top_p", 0.9}};
  EXPECT_EQ(options_of(from_file(filters)).sampling.temperature, 0);
  io::Json draws = filters;
  draws["do_sample"] = true;
  const Options drawn = options_of(from_file(draws));
  EXPECT_EQ(drawn.sampling.temperature, 0.6);
  EXPECT_EQ(drawn.sampling.top_p, 0.9);
  EXPECT_EQ(drawn.sampling.top_k, 50);
  EXPECT_EQ(options_of(from_file({{"do_sample", true}})).sampling.temperature, 1);
}

TEST(ReadSettings, TakesConfigJsonWhereThereIsNoOther) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(options_of(read_settings(folder.path())).beams.num_beams, 1);
  io::write_json(folder / "config.json", {{"num_beams", 4}, {"early_stopping", true}});
  EXPECT_EQ(options_of(read_settings(folder.path())).beams.num_beams, 4);
  EXPECT_EQ(options_of(read_settings(folder.path())).beams.early_stopping, EarlyStopping::yes);
  io::write_json(folder / "generation_config.json", {{"num_beams", 2}});
  EXPECT_EQ(options_of(read_settings(folder.path())).beams.num_beams, 2);
}

TEST(Settings, ThatAPersonGivesComeBeforeTheFiles) {
  const Settings file = from_file({{"num_beams", 4},
                                   {"length_penalty", 2.0},
                                   {"forced_eos_token_id", 2},
                                   {"bad_words_ids", {{3, 4}}},
                                   {"max_length", 60}});
  const Settings both = over({.seed = 3, .num_beams = 2, .min_length = 5}, file);
  const Options options = options_of(both);
  EXPECT_EQ(options.beams.num_beams, 2);
  EXPECT_EQ(options.beams.length_penalty, 2);
  EXPECT_EQ(options.sampling.seed, 3u);
  EXPECT_EQ(options.processors.min_length, 5);
  EXPECT_THAT(options.processors.forced_eos_token_id, testing::ElementsAre(2));
  EXPECT_EQ(options.processors.bad_words_ids.size(), 1u);
  EXPECT_EQ(both.max_length, 60);
}

TEST(Settings, LeaveTheLengthToTheFileAndThenToTheCaller) {
  EXPECT_EQ(max_tokens_of(from_file({{"max_new_tokens", 9}, {"max_length", 60}}), 10, 128), 9);
  EXPECT_EQ(max_tokens_of(from_file({{"max_length", 60}}), 10, 128), 50);
  EXPECT_EQ(max_tokens_of(from_file({{"max_length", 20}}), 10, 128), 128);
  EXPECT_THAT(test::refusal([] {
                max_tokens_of(from_file({{"max_length", 60}}), 60, 128);
              }),
              HasSubstr("max_length: expected more than the prompt's 60 tokens, found 60"));
}

TEST(Settings, RefuseContrastiveSearchUnlessAnotherTakesItsPlace) {
  Settings settings = from_file({{"penalty_alpha", 0.6}, {"top_k", 4}});
  EXPECT_THAT(test::refusal([&] { options_of(settings); }),
              HasSubstr("penalty_alpha: contrastive search is not supported"));
  settings.num_beams = 2;
  EXPECT_EQ(options_of(settings).beams.num_beams, 2);
}

TEST(ReadSettings, NamesTheFileAndTheFieldOfWhatCannotBe) {
  const struct {
    io::Json members;
    const char* message;
  } cases[] = {
      {{{"num_beams", 0}}, "num_beams: expected 1 or more, found 0"},
      {{{"num_beams", "4"}}, "num_beams: expected a whole number"},
      {{{"early_stopping", "nver"}},
       "early_stopping: expected true, false or never, found 'nver'; did you mean never?"},
      {{{"num_beams", 2}, {"num_return_sequences", 3}},
       "num_return_sequences: expected at most num_beams, 2, found 3"},
      {{{"forced_eos_token_id", {2, -1}}}, "forced_eos_token_id: expected 0 or more, found -1"},
      {{{"bad_words_ids", {{2, "x"}}}}, "bad_words_ids[0][1]"},
      {{{"exponential_decay_length_penalty", {2}}}, "expected a start and a factor"},
      {{{"top_p", 1.5}}, "top_p: expected a number above 0 and at most 1"},
      {{{"num_beam_groups", 2}}, "num_beam_groups: beam search in groups is not supported"},
      {{{"guidance_scale", 1.5}}, "guidance_scale: is not supported"},
  };
  for (const auto& c : cases) {
    const std::string message = test::refusal([&] { from_file(c.members); });
    EXPECT_THAT(message, HasSubstr("generation_config.json: "));
    EXPECT_THAT(message, HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace qloft::generate
