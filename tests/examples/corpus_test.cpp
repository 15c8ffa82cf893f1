// The bundled model's corpus, as its program writes it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// A folder of its own for each test, removed afterwards.
class Corpus : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "qloft-corpus-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The exit status of `corpus FOLDER ARGUMENTS`.
  int run(const fs::path& folder, const std::string& arguments) {
    const std::string command =
        std::string(QLOFT_CORPUS) + " " + folder.string() + " " + arguments + " 2>/dev/null";
    const int status = std::system(command.c_str());
    return WEXITSTATUS(status);
  }
  std::vector<nlohmann::json> lines(const std::string& name) {
    std::vector<nlohmann::json> values;
    std::ifstream stream(folder_ / name);
    for (std::string line; std::getline(stream, line);)
      values.push_back(nlohmann::json::parse(line));
    return values;
  }

  fs::path folder_;
};

// The numbers of a question, in order.
std::vector<int> numbers(const std::string& text) {
  static const std::regex number("[0-9]+");
  std::vector<int> values;
  for (std::sregex_iterator it(text.begin(), text.end(), number), end; it != end; ++it) {
    values.push_back(std::stoi(it->str()));
  }
  return values;
}

TEST_F(Corpus, WritesTheSameBytesForTheSameSeed) {
  ASSERT_EQ(run(folder_ / "a", "200 50 50 3"), 0);
  ASSERT_EQ(run(folder_ / "b", "200 50 50 3"), 0);
  ASSERT_EQ(run(folder_ / "c", "200 50 50 4"), 0);
  for (const std::string name : {"problems-train.jsonl", "problems-test.jsonl",
                                 "drills-train.jsonl", "stories-train.jsonl", "stories-test.txt"}) {
    const std::string first = content(folder_ / "a" / name);
    EXPECT_FALSE(first.empty()) << name;
    EXPECT_EQ(first, content(folder_ / "b" / name)) << name;
    EXPECT_NE(first, content(folder_ / "c" / name)) << name;
  }
}

TEST_F(Corpus, HoldsOutCombinationsOfNumbers) {
  ASSERT_EQ(run(folder_, "5000 10 10 1"), 0);
  std::set<std::vector<int>> trained;
  for (const auto& line : lines("problems-train.jsonl"))
    trained.insert(numbers(line.at("question")));
  const auto held_out = lines("problems-test.jsonl");
  EXPECT_EQ(held_out.size(), 500U);
  for (const auto& line : held_out) {
    EXPECT_FALSE(trained.contains(numbers(line.at("question")))) << line;
  }
}

TEST_F(Corpus, WorksEveryProblemOutRightly) {
  ASSERT_EQ(run(folder_, "500 10 10 1"), 0);
  static const std::regex step(R"((\d+)([-+*/])(\d+)=(\d+))");
  for (const auto& line : lines("problems-train.jsonl")) {
    const std::string answer = line.at("answer");
    int last = 0;
    for (std::sregex_iterator it(answer.begin(), answer.end(), step), end; it != end; ++it) {
      const int left = std::stoi((*it)[1]), right = std::stoi((*it)[3]);
      last = std::stoi((*it)[4]);
      switch ((*it)[2].str()[0]) {
        case '+':
          EXPECT_EQ(left + right, last) << answer;
          break;
        case '-':
          EXPECT_EQ(left - right, last) << answer;
          break;
        case '*':
          EXPECT_EQ(left * right, last) << answer;
          break;
        default:
          EXPECT_EQ(left, last * right) << answer;
      }
    }
    EXPECT_THAT(answer, testing::EndsWith("#### " + std::to_string(last)));
  }
}

TEST_F(Corpus, TrainsOnNoHeldOutStory) {
  ASSERT_EQ(run(folder_, "10 10 2000 1"), 0);
  const std::string held_out = content(folder_ / "stories-test.txt");
  for (const auto& line : lines("stories-train.jsonl")) {
    EXPECT_EQ(held_out.find(line.at("text").get<std::string>()), std::string::npos) << line;
  }
}

TEST_F(Corpus, LeavesNoPatternUnfilled) {
  ASSERT_EQ(run(folder_, "2000 10 500 1"), 0);
  for (const auto& line : lines("problems-train.jsonl")) {
    EXPECT_THAT(line.at("question"), testing::Not(testing::HasSubstr("{"))) << line;
  }
  EXPECT_THAT(content(folder_ / "stories-test.txt"), testing::Not(testing::HasSubstr("{")));
}

TEST_F(Corpus, WritesSummariesOfStoriesThatStandNowhereElse) {
  ASSERT_EQ(run(folder_, "1 1 1 1 400"), 0);
  std::set<std::string> seen;
  for (const std::string name : {"summaries-train.jsonl", "summaries-test.jsonl"}) {
    for (const auto& line : lines(name)) {
      const std::string document = line.at("document"), summary = line.at("summary");
      EXPECT_TRUE(seen.insert(document).second) << document;
      EXPECT_THAT(document, testing::Not(testing::HasSubstr(summary)));
      EXPECT_THAT(summary, testing::Not(testing::HasSubstr("{")));
      EXPECT_THAT(summary, testing::EndsWith("."));
    }
  }
  EXPECT_EQ(seen.size(), 400u + 300u);
  for (const auto& line : lines("noised-train.jsonl")) {
    const std::string noised = line.at("document"), whole = line.at("summary");
    EXPECT_TRUE(seen.insert(whole).second) << whole;
    EXPECT_THAT(noised, testing::HasSubstr("<mask>"));
    EXPECT_LT(noised.size(), whole.size());
  }
}

TEST_F(Corpus, RefusesWhatIsNotANumber) {
  EXPECT_EQ(run(folder_, "many"), 2);
  EXPECT_EQ(run(folder_, "10 10 10 1 1 1"), 2);
}

TEST_F(Corpus, TableShowsEveryReport) {
  const fs::path model = folder_ / "model", results = folder_ / "results";
  for (const std::string name :
       {"auto", "auto-tuned", "qlora", "qlora-tuned", "loftq", "loftq-tuned"}) {
    fs::create_directories(folder_ / name / "adapter");
  }
  fs::create_directories(model);
  fs::create_directories(results);
  std::ofstream(model / "model.safetensors") << std::string(2'500'000, 'x');
  const auto report = [&](const std::string& name, const nlohmann::json& value) {
    std::ofstream(results / (name + ".json")) << value;
  };
  for (const std::string name :
       {"full", "auto", "auto-tuned", "qlora", "qlora-tuned", "loftq", "loftq-tuned"}) {
    report(name + ".perplexity", {{"perplexity", 7.25}});
    report(name + ".problems", {{"accuracy", 0.815}});
  }
  for (const std::string name : {"auto", "qlora", "loftq"}) {
    report(name + ".quantize", {{"bits_per_weight", 2.13}, {"seconds", 1.5}});
    report(name + ".finetune", {{"seconds", 40.25}});
  }
  const fs::path table = folder_ / "table.txt";
  const std::string command = std::string(QLOFT_DEMO_TABLE) + " " + model.string() + " " +
                              folder_.string() + " >" + table.string();
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string text = content(table);
  EXPECT_THAT(text, testing::HasSubstr("full precision"));
  EXPECT_THAT(text, testing::HasSubstr("2.50 MB"));
  EXPECT_THAT(text, testing::ContainsRegex("LoftQ, after tuning +7[.]250 +81[.]5 % +2[.]13"));
}

}  // namespace
