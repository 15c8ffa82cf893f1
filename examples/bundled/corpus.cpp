// Writes the corpus of the bundled model: arithmetic word problems with worked answers, and plain
// stories; and of a small encoder-decoder: stories with one-sentence summaries. The same arguments
// give the same bytes on every machine.
//
//   corpus OUT [PROBLEMS [DRILLS [STORIES [SEED [SUMMARIES]]]]]
//
// OUT/problems-train.jsonl  {"question", "answer"}; an answer ends in "#### N"
// OUT/problems-test.jsonl   500 problems whose numbers never stand together in a training problem
// OUT/drills-train.jsonl    {"prompt", "completion"}: single steps of such answers
// OUT/stories-train.jsonl   {"text"}
// OUT/stories-test.txt      200 stories that no training story equals, as one text
//
// With SUMMARIES, so many lines each, and 300 to test on, of stories that stand nowhere else:
// OUT/summaries-train.jsonl {"document", "summary"}
// OUT/summaries-test.jsonl
// OUT/noised-train.jsonl    the same fields: a story whose spans of words are masked, and the story

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/core/random.h"
#include "words.h"

namespace corpus {
namespace {

constexpr int kTestProblems = 500;
constexpr int kTestStories = 200;
constexpr int kTestSummaries = 300;
constexpr std::uint64_t kTestShare = 8;  // one combination of numbers in eight is held out

using Words = std::vector<std::pair<std::string_view, std::string>>;

// `pattern` with every {word} replaced.
std::string fill(std::string_view pattern, const Words& words) {
  std::string text;
  while (!pattern.empty()) {
    const auto open = pattern.find('{');
    text += pattern.substr(0, open);
    if (open == std::string_view::npos) break;
    const auto close = pattern.find('}', open);
    const auto word = pattern.substr(open + 1, close - open - 1);
    for (const auto& [key, value] : words) {
      if (key == word) text += value;
    }
    pattern.remove_prefix(close + 1);
  }
  return text;
}

template <typename List>
const auto& pick(const List& list, qloft::Random& random) {
  return list[static_cast<std::size_t>(random.below(list.size()))];
}

Words people(qloft::Random& random) {
  const Person& first = pick(kPeople, random);
  const Person* second = &pick(kPeople, random);
  while (second->name == first.name) second = &pick(kPeople, random);
  return {{"N", std::string(first.name)},  {"F", std::string(second->name)},
          {"he", std::string(first.he)},   {"his", std::string(first.his)},
          {"him", std::string(first.him)}, {"He", std::string(first.capital_he)}};
}

// The inputs, then the result of each step; empty if one is not a whole number from 1 to 99.
std::vector<int> draw(const Problem& problem, qloft::Random& random) {
  std::vector<int> values;
  for (const Range& range : problem.inputs) {
    const auto width = static_cast<std::uint64_t>(range.high - range.low + 1);
    values.push_back(range.low + static_cast<int>(random.below(width)));
  }
  for (const Step& step : problem.steps) {
    const int left = values[static_cast<std::size_t>(step.left)];
    const int right = values[static_cast<std::size_t>(step.right)];
    int result = 0;
    if (step.operation == '+') result = left + right;
    if (step.operation == '-') result = left - right;
    if (step.operation == '*') result = left * right;
    if (step.operation == '/' && left % right == 0) result = left / right;
    if (result < 1 || result > 99) return {};
    values.push_back(result);
  }
  return values;
}

// Whether problems with these inputs belong to the test set: a hash of the numbers alone, so that
// the two sets cannot share a combination, however it is worded.
bool held_out(const std::vector<int>& values, std::size_t inputs) {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < inputs; ++i) {
    hash = qloft::Random(hash, static_cast<std::uint64_t>(values[i])).next();
  }
  return hash % kTestShare == 0;
}

// "12+3=15"
std::string equation(const Step& step, const std::vector<int>& values, int result) {
  return std::to_string(values[static_cast<std::size_t>(step.left)]) + step.operation +
         std::to_string(values[static_cast<std::size_t>(step.right)]) + '=' +
         std::to_string(result);
}

std::string worked_answer(const Problem& problem, const std::vector<int>& values) {
  std::string answer;
  std::size_t result = problem.inputs.size();
  for (const Step& step : problem.steps) {
    answer += equation(step, values, values[result++]) + ". ";
  }
  answer.back() = '\n';
  return answer + "#### " + std::to_string(values.back());
}

// One step of a training problem by itself: {"prompt": "12+3=", "completion": "15"}.
std::string drill_line(qloft::Random& random) {
  const Problem& problem = pick(kProblems, random);
  std::vector<int> values;
  while (values.empty()) values = draw(problem, random);
  const auto which = static_cast<std::size_t>(random.below(problem.steps.size()));
  const int result = values[problem.inputs.size() + which];
  const std::string whole = equation(problem.steps[which], values, result);
  const auto cut = whole.find('=') + 1;
  nlohmann::ordered_json line;
  line["prompt"] = whole.substr(0, cut);
  line["completion"] = whole.substr(cut);
  return line.dump() + '\n';
}

// One line of JSON: a problem of the training set, or of the test set.
std::string problem_line(qloft::Random& random, bool test) {
  const Problem& problem = pick(kProblems, random);
  std::vector<int> values;
  while (values.empty() || held_out(values, problem.inputs.size()) != test) {
    values = draw(problem, random);
  }
  Words words = people(random);
  words.emplace_back("things", pick(kThings, random));
  words.emplace_back("containers", pick(kContainers, random));
  constexpr std::string_view kLetters = "abcd";
  for (std::size_t i = 0; i < problem.inputs.size(); ++i) {
    words.emplace_back(kLetters.substr(i, 1), std::to_string(values[i]));
  }
  nlohmann::ordered_json line;
  line["question"] = fill(pick(problem.wordings, random), words);
  line["answer"] = worked_answer(problem, values);
  return line.dump() + '\n';
}

struct Story {
  std::string text, summary;
};

Story story_with_summary(qloft::Random& random) {
  Words words = people(random);
  const std::string_view place = pick(kPlaces, random);
  std::string_view other = pick(kPlaces, random);
  while (other == place) other = pick(kPlaces, random);
  words.emplace_back("place", place);
  words.emplace_back("place2", other);
  words.emplace_back("animal", pick(kAnimals, random));
  words.emplace_back("adjective", pick(kAdjectives, random));
  words.emplace_back("object", pick(kObjects, random));
  words.emplace_back("weather", pick(kWeather, random));
  words.emplace_back("feeling", pick(kFeelings, random));
  std::string text;
  for (const Lines& lines : kStory) {
    const std::string sentence = fill(pick(lines, random), words);
    if (sentence.empty()) continue;
    if (!text.empty()) text += ' ';
    text += sentence;
  }
  const Ending& ending = pick(kEndings, random);
  return {text + ' ' + fill(ending.line, words), fill(ending.summary, words)};
}

std::string story(qloft::Random& random) {
  return story_with_summary(random).text;
}

// BART's text infilling (Lewis et al. 2020): spans of words become one mask each, until three words
// in ten are gone. Spans of 1 to 5 words, in place of the paper's Poisson lengths of mean 3.
std::string noised(const std::string& text, qloft::Random& random) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  constexpr std::string_view kMask = "<mask>";
  for (std::size_t left = words.size() * 3 / 10; left > 0;) {
    const auto length =
        static_cast<std::size_t>(1 + random.below(std::min<std::uint64_t>(5, left)));
    const auto first = static_cast<std::size_t>(random.below(words.size() - length + 1));
    words[first] = kMask;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(first) + 1,
                words.begin() + static_cast<std::ptrdiff_t>(first + length));
    left -= length;
  }
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string pair_line(const std::string& document, const std::string& summary) {
  nlohmann::ordered_json line;
  line["document"] = document;
  line["summary"] = summary;
  return line.dump() + '\n';
}

void write_summaries(const std::filesystem::path& folder, int count, std::uint64_t seed) {
  std::set<std::string> seen;
  const auto unseen = [&](qloft::Random& random) {
    while (true) {
      Story story = story_with_summary(random);
      if (seen.insert(story.text).second) return story;
    }
  };
  const auto write_lines = [&](const char* name, int lines, std::uint64_t stream, auto line) {
    qloft::Random random(seed, stream);
    std::string text;
    for (int i = 0; i < lines; ++i) text += line(unseen(random), random);
    qloft::write_file(folder / name, text);
  };
  const auto with_summary = [](const Story& story, qloft::Random&) {
    return pair_line(story.text, story.summary);
  };
  write_lines("summaries-test.jsonl", kTestSummaries, 5, with_summary);
  write_lines("summaries-train.jsonl", count, 6, with_summary);
  write_lines("noised-train.jsonl", count, 7, [](const Story& story, qloft::Random& random) {
    return pair_line(noised(story.text, random), story.text);
  });
}

void write(const std::filesystem::path& folder, int problems, int drills, int stories,
           std::uint64_t seed) {
  std::filesystem::create_directories(folder);
  std::string text;
  qloft::Random test_problems(seed, 0);
  for (int i = 0; i < kTestProblems; ++i) text += problem_line(test_problems, true);
  qloft::write_file(folder / "problems-test.jsonl", text);

  text.clear();
  qloft::Random train_problems(seed, 1);
  for (int i = 0; i < problems; ++i) text += problem_line(train_problems, false);
  qloft::write_file(folder / "problems-train.jsonl", text);

  text.clear();
  qloft::Random train_drills(seed, 4);
  for (int i = 0; i < drills; ++i) text += drill_line(train_drills);
  qloft::write_file(folder / "drills-train.jsonl", text);

  text.clear();
  std::set<std::string> held;
  qloft::Random test_stories(seed, 2);
  for (int i = 0; i < kTestStories; ++i) {
    const std::string one = story(test_stories);
    held.insert(one);
    text += one + '\n';
  }
  qloft::write_file(folder / "stories-test.txt", text);

  text.clear();
  qloft::Random train_stories(seed, 3);
  for (int i = 0; i < stories;) {
    const std::string one = story(train_stories);
    if (held.contains(one)) continue;
    nlohmann::ordered_json line;
    line["text"] = one;
    text += line.dump() + '\n';
    ++i;
  }
  qloft::write_file(folder / "stories-train.jsonl", text);
}

std::uint64_t number(const char* argument) {
  const std::string_view text(argument);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > 100'000'000) {
    throw qloft::InputError("expected a whole number, found \"" + std::string(text) + '"');
  }
  return value;
}

}  // namespace
}  // namespace corpus

int main(int count, char** arguments) {
  if (count < 2 || count > 7) {
    std::cerr << "usage: corpus OUT [PROBLEMS [DRILLS [STORIES [SEED [SUMMARIES]]]]]\n";
    return 2;
  }
  try {
    const auto given = [&](int index, std::uint64_t otherwise) {
      return index < count ? corpus::number(arguments[index]) : otherwise;
    };
    corpus::write(arguments[1], static_cast<int>(given(2, 60'000)),
                  static_cast<int>(given(3, 120'000)), static_cast<int>(given(4, 3'000)),
                  given(5, 1));
    if (count > 6) {
      corpus::write_summaries(arguments[1], static_cast<int>(given(6, 0)), given(5, 1));
    }
  } catch (const qloft::InputError& error) {
    std::cerr << "corpus: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "corpus: " << error.what() << '\n';
    return 1;
  }
}
