// Files of lines: what is indexed, what is skipped, which line an error names.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "qloft/core/error.h"
#include "qloft/data.h"
#include "temporary_folder.h"

namespace qloft::data {
namespace {

using testing::HasSubstr;

tokenizer::Tokenizer tokenizer() {
  return tokenizer::Tokenizer::load(std::string(QLOFT_TEST_DATA) + "/golden/tokenizers/llama2");
}

class DataFiles : public testing::Test {
 protected:
  std::filesystem::path put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  static DataSet open(std::vector<std::filesystem::path> files) {
    DataOptions options;
    options.append_eos = false;
    options.max_length = 10000000;
    return DataSet(std::move(files), ExampleReader(tokenizer(), std::nullopt, options));
  }
  static std::string text(const DataSet& data, std::int64_t index) {
    return tokenizer().decode(data.get(index).ids, true);
  }
  static std::string message_of(const DataSet& data, std::int64_t index) {
    try {
      data.get(index);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }
  // {"text": "0"}, {"text": "1"}, ...
  std::filesystem::path numbers(int count) {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += "{\"text\": \"" + std::to_string(i) + "\"}\n";
    return put("numbers.jsonl", lines);
  }

  test::TemporaryFolder folder_;
};

TEST_F(DataFiles, AreReadLineByLineInTheirOrder) {
  const DataSet data = open({put("a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}"),
                             put("empty.jsonl", ""), put("b.jsonl", "{\"text\": \"three\"}\n")});
  ASSERT_EQ(data.size(), 3);
  EXPECT_EQ(text(data, 0), "one");
  EXPECT_EQ(text(data, 1), "two");
  EXPECT_EQ(text(data, 2), "three");
}

TEST_F(DataFiles, MayHaveAMarkCarriageReturnsAndBlankLines) {
  const DataSet data = open({put("a.jsonl",
                                 "\xef\xbb\xbf\r\n{\"text\": \"one\"}\r\n\r\n  \t\r\n\n"
                                 "{\"text\": \"two\"}\r\n\n{\"text\": 3}\n\n \n")});
  ASSERT_EQ(data.size(), 3);
  EXPECT_EQ(text(data, 0), "one");
  EXPECT_EQ(text(data, 1), "two");
  EXPECT_THAT(message_of(data, 2), HasSubstr("a.jsonl: line 8: text: expected a string"));
}

TEST_F(DataFiles, AreNamedWithTheLineInErrors) {
  const DataSet data = open({put("a.jsonl", "{\"text\": \"one\"}\n"),
                             put("b.jsonl", "{\"text\": \"two\"}\n{\"texts\": 1}\nnot json\n")});
  EXPECT_THAT(message_of(data, 2), HasSubstr("b.jsonl: line 2"));
  EXPECT_THAT(message_of(data, 3), testing::AllOf(HasSubstr("b.jsonl"), HasSubstr("line 3")));
  EXPECT_THROW(data.get(4), InputError);
  EXPECT_THROW(data.get(-1), InputError);
}

TEST_F(DataFiles, MayHoldLinesLongerThanAnyBuffer) {
  std::string lines;
  for (const std::size_t length : {5000, 1 << 20, 3}) {
    lines +=
        "{\"text\": \"" + std::string(length, 'a') + "\"}\n" + std::string(2000000, ' ') + "\n";
  }
  const DataSet data = open({put("a.jsonl", lines)});
  ASSERT_EQ(data.size(), 3);
  EXPECT_EQ(text(data, 0), std::string(5000, 'a'));
  EXPECT_EQ(text(data, 2), "aaa");
}

TEST_F(DataFiles, ThatCannotBeReadAreNamed) {
  EXPECT_THROW(open({}), InputError);
  EXPECT_THROW(open({folder_ / "missing.jsonl"}), InputError);
  EXPECT_THROW(open({folder_.path()}), InputError);
  EXPECT_THROW(open({put("empty.jsonl", "\n \n")}), InputError);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(open({folder_ / "pipe"}), InputError);
}

TEST_F(DataFiles, ThatBecomeShorterAreAnError) {
  const auto file = put("a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  const DataSet data = open({file});
  std::filesystem::resize_file(file, 4);
  EXPECT_THAT(message_of(data, 1), HasSubstr("became shorter"));
}

TEST_F(DataFiles, GiveManyExamplesAtOnceInTheOrderAsked) {
  const DataSet data = open({numbers(100)});
  const std::vector<std::int64_t> wanted = {99, 0, 42, 42};
  const std::vector<Example> examples = data.get(wanted);
  ASSERT_EQ(examples.size(), 4u);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(examples[i].ids, data.get(wanted[i]).ids);
  }
}

TEST_F(DataFiles, SplitIntoPartsThatShareNothing) {
  const DataSet data = open({numbers(50)});
  const DataSet::Split split = data.split(0.2, 1);
  EXPECT_EQ(split.validation.size(), 10u);
  EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
  std::vector<std::int64_t> all = split.train;
  all.insert(all.end(), split.validation.begin(), split.validation.end());
  std::sort(all.begin(), all.end());
  std::vector<std::int64_t> expected(50);
  std::iota(expected.begin(), expected.end(), std::int64_t{0});
  EXPECT_EQ(all, expected);
  EXPECT_EQ(data.split(0.2, 1).validation, split.validation);
  EXPECT_NE(data.split(0.2, 2).validation, split.validation);
}

TEST_F(DataFiles, SplitKeepsAnExampleOnEachSide) {
  const DataSet data = open({numbers(3)});
  EXPECT_EQ(data.split(0, 1).validation.size(), 0u);
  EXPECT_EQ(data.split(0.001, 1).validation.size(), 1u);
  EXPECT_EQ(data.split(0.999, 1).train.size(), 1u);
  EXPECT_THROW(data.split(1, 1), InputError);
  EXPECT_THROW(data.split(-0.1, 1), InputError);
  EXPECT_THROW(data.split(std::nan(""), 1), InputError);
  EXPECT_THROW(open({numbers(1)}).split(0.5, 1), InputError);
}

}  // namespace
}  // namespace qloft::data
