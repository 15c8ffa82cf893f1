#include "qloft/metrics/squad.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "python_text.h"
#include "qloft/core/error.h"

namespace qloft::metrics {
namespace {

using AnswerWords = std::vector<std::string>;

bool is_ascii_punctuation(char32_t code) {
  return (code > 0x20 && code < 0x30) || (code > 0x39 && code < 0x41) ||
         (code > 0x5A && code < 0x61) || (code > 0x7A && code < 0x7F);
}

// The words of a normalized answer.
AnswerWords words_of(std::string_view text) {
  std::u32string kept;
  for (const char32_t code : lowercase(characters_of(text))) {
    if (!is_ascii_punctuation(code)) kept += code;
  }
  AnswerWords words;
  const auto is_article = [](std::u32string_view word) {
    return word == U"a" || word == U"an" || word == U"the";
  };
  // An article is a run of word characters, a space takes its place; all else but spaces stays.
  std::u32string word;
  const auto flush = [&] {
    if (!word.empty()) words.push_back(utf8_of(word));
    word.clear();
  };
  for (std::size_t begin = 0; begin < kept.size();) {
    std::size_t end = begin;
    while (end < kept.size() && is_word_character(kept[end])) ++end;
    const std::u32string_view run = std::u32string_view(kept).substr(begin, end - begin);
    if (is_article(run)) {
      flush();
    } else if (end > begin) {
      word += run;
    } else if (is_white_space(kept[end])) {
      flush();
      ++end;
    } else {
      word += kept[end++];
    }
    begin = end;
  }
  flush();
  return words;
}

double f1_of(const AnswerWords& prediction, const AnswerWords& answer) {
  std::map<std::string, std::int64_t> left;
  for (const std::string& word : answer) ++left[word];
  std::int64_t same = 0;
  for (const std::string& word : prediction) {
    if (const auto found = left.find(word); found != left.end() && found->second-- > 0) ++same;
  }
  if (same == 0) return 0;
  const double precision = static_cast<double>(same) / static_cast<double>(prediction.size());
  const double recall = static_cast<double>(same) / static_cast<double>(answer.size());
  return 2 * precision * recall / (precision + recall);
}

// `empty_counts`: two answers without a word agree.
AnswerScore best_of(std::string_view prediction, std::span<const std::string> answers,
                    bool empty_counts) {
  const AnswerWords said = words_of(prediction);
  AnswerScore best;
  for (const std::string& answer : answers) {
    const AnswerWords words = words_of(answer);
    const bool same = said == words;
    best.exact = std::max(best.exact, same ? 1.0 : 0.0);
    best.f1 =
        std::max(best.f1, empty_counts && said.empty() && words.empty() ? 1.0 : f1_of(said, words));
  }
  return best;
}

SquadScores mean_of(std::span<const AnswerScore> scores) {
  SquadScores mean;
  mean.total = std::ssize(scores);
  for (const AnswerScore& score : scores) {
    mean.exact += score.exact;
    mean.f1 += score.f1;
  }
  mean.exact *= 100.0 / static_cast<double>(std::max<std::int64_t>(1, mean.total));
  mean.f1 *= 100.0 / static_cast<double>(std::max<std::int64_t>(1, mean.total));
  return mean;
}

struct Scored {
  const SquadItem* item;
  AnswerScore score;
  bool has_answer;
};

// From "no question has an answer" one question after the other, the least probable first.
void find_best(std::vector<Scored> items, std::int64_t unanswerable, double AnswerScore::*part,
               double& best, double& threshold) {
  std::ranges::stable_sort(items, {},
                           [](const Scored& s) { return s.item->no_answer_probability; });
  double sum = static_cast<double>(unanswerable);
  best = sum;
  threshold = 0;
  for (const Scored& one : items) {
    if (one.has_answer) {
      sum += one.score.*part;
    } else if (!one.item->prediction->empty()) {
      sum -= 1;
    }
    if (sum > best) {
      best = sum;
      threshold = one.item->no_answer_probability;
    }
  }
  best *= 100.0 / static_cast<double>(items.size());
}

}  // namespace

std::string normalize_answer(std::string_view text) {
  std::string result;
  for (const std::string& word : words_of(text)) {
    if (!result.empty()) result += ' ';
    result += word;
  }
  return result;
}

AnswerScore answer_score(std::string_view prediction, std::span<const std::string> answers) {
  if (answers.empty()) throw InputError({{}, "answers"}, "expected at least one, found none");
  return best_of(prediction, answers, false);
}

AnswerScore answer_score_v2(std::string_view prediction, std::span<const std::string> answers) {
  std::vector<std::string> counted;
  for (const std::string& answer : answers) {
    if (!words_of(answer).empty()) counted.push_back(answer);
  }
  if (counted.empty()) counted.emplace_back();
  return best_of(prediction, counted, true);
}

SquadScores squad(std::span<const SquadItem> items) {
  if (items.empty()) throw InputError({{}, "questions"}, "expected at least one, found none");
  std::vector<AnswerScore> scores;
  for (const SquadItem& item : items) {
    scores.push_back(item.prediction ? answer_score(*item.prediction, item.answers)
                                     : AnswerScore());
  }
  return mean_of(scores);
}

SquadV2Scores squad_v2(std::span<const SquadItem> items, double threshold) {
  std::vector<Scored> scored;
  std::vector<AnswerScore> all, with, without;
  std::int64_t unanswerable = 0;
  for (const SquadItem& item : items) {
    const bool has_answer = !item.answers.empty();
    unanswerable += has_answer ? 0 : 1;
    if (!item.prediction) continue;
    scored.push_back({&item, answer_score_v2(*item.prediction, item.answers), has_answer});
    AnswerScore score = scored.back().score;
    if (item.no_answer_probability > threshold) {
      score = has_answer ? AnswerScore{0, 0} : AnswerScore{1, 1};
    }
    all.push_back(score);
    (has_answer ? with : without).push_back(score);
  }
  if (all.empty()) throw InputError({{}, "predictions"}, "expected at least one, found none");
  SquadV2Scores result;
  result.all = mean_of(all);
  result.has_answer = mean_of(with);
  result.no_answer = mean_of(without);
  find_best(scored, unanswerable, &AnswerScore::exact, result.best_exact,
            result.best_exact_threshold);
  find_best(scored, unanswerable, &AnswerScore::f1, result.best_f1, result.best_f1_threshold);
  return result;
}

}  // namespace qloft::metrics
