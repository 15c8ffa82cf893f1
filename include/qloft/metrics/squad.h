#pragma once
// Exact match and F1 of answers to questions, as the official scripts of SQuAD 1.1 (Rajpurkar et
// al. 2016) and 2.0 (2018) count them.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qloft::metrics {

// In lower case, without ASCII punctuation, the words a, an and the, and more than one space.
std::string normalize_answer(std::string_view text);

// The best over the answers that count, 0 to 1 each; F1 is that of the words.
struct AnswerScore {
  double exact = 0, f1 = 0;
};
// 1.1: at least one answer, else InputError.
AnswerScore answer_score(std::string_view prediction, std::span<const std::string> answers);
// 2.0: without an answer that has a word left, the empty prediction is right.
AnswerScore answer_score_v2(std::string_view prediction, std::span<const std::string> answers);

struct SquadItem {
  std::optional<std::string> prediction;  // none was made: 1.1 counts 0, 2.0 leaves it out
  std::vector<std::string> answers;       // none: it cannot be answered (2.0)
  double no_answer_probability = 0;       // 2.0
};

// In per cent, as the scripts have them.
struct SquadScores {
  double exact = 0, f1 = 0;
  std::int64_t total = 0;
};
// Throws InputError where there are no items.
SquadScores squad(std::span<const SquadItem> items);

struct SquadV2Scores {
  SquadScores all;
  SquadScores has_answer, no_answer;  // total 0 where there is none
  // The best over all thresholds, and the least threshold at which it is.
  double best_exact = 0, best_exact_threshold = 0;
  double best_f1 = 0, best_f1_threshold = 0;
};
// Where no_answer_probability is above `threshold` the prediction counts as none. Throws InputError
// where no item has a prediction.
SquadV2Scores squad_v2(std::span<const SquadItem> items, double threshold = 1);

}  // namespace qloft::metrics
