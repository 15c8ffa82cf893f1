#include "qloft/metrics/rouge.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "python_text.h"

namespace qloft::metrics {
namespace {

// Words as numbers, the same in all texts of one score.
using Word = std::int32_t;
using Words = std::vector<Word>;

constexpr std::size_t kLongestUnstemmed = 3;

class Dictionary {
 public:
  explicit Dictionary(bool stem) : stem_(stem) {}

  Words words_of(std::string_view text) {
    Words words;
    std::string word;
    const auto flush = [&] {
      if (stem_ && word.size() > kLongestUnstemmed) word = porter_stem(std::move(word));
      if (!word.empty()) {
        words.push_back(
            numbers_.try_emplace(word, static_cast<Word>(numbers_.size())).first->second);
      }
      word.clear();
    };
    for (const char32_t code : lowercase(characters_of(text))) {
      if ((code >= 'a' && code <= 'z') || (code >= '0' && code <= '9')) {
        word += static_cast<char>(code);
      } else {
        flush();
      }
    }
    flush();
    return words;
  }

 private:
  bool stem_;
  std::map<std::string, Word> numbers_;
};

RougeScore score_of(double hits, std::size_t reference, std::size_t summary) {
  RougeScore score;
  score.precision = hits / static_cast<double>(std::max<std::size_t>(1, summary));
  score.recall = hits / static_cast<double>(std::max<std::size_t>(1, reference));
  const double sum = score.precision + score.recall;
  if (sum > 0) score.f1 = 2 * score.precision * score.recall / sum;
  return score;
}

RougeScore of_runs(const Words& reference, const Words& summary, std::size_t length) {
  const auto runs_of = [&](const Words& words) {
    std::map<Words, std::int64_t> runs;
    for (std::size_t i = 0; i + length <= words.size(); ++i) {
      const auto begin = words.begin() + static_cast<std::ptrdiff_t>(i);
      ++runs[Words(begin, begin + static_cast<std::ptrdiff_t>(length))];
    }
    return runs;
  };
  const auto wanted = runs_of(reference), found = runs_of(summary);
  std::int64_t hits = 0;
  for (const auto& [run, times] : wanted) {
    if (const auto same = found.find(run); same != found.end()) {
      hits += std::min(times, same->second);
    }
  }
  const auto runs_in = [&](const Words& words) {
    return words.size() < length ? 0 : words.size() - length + 1;
  };
  return score_of(static_cast<double>(hits), runs_in(reference), runs_in(summary));
}

// Lengths of the longest common subsequences of the first i and the first j words.
class CommonLengths {
 public:
  CommonLengths(const Words& rows, const Words& columns)
      : width_(columns.size() + 1), lengths_((rows.size() + 1) * width_) {
    for (std::size_t i = 1; i <= rows.size(); ++i) {
      for (std::size_t j = 1; j <= columns.size(); ++j) {
        lengths_[i * width_ + j] = rows[i - 1] == columns[j - 1]
                                       ? at(i - 1, j - 1) + 1
                                       : std::max(at(i - 1, j), at(i, j - 1));
      }
    }
  }
  std::int32_t at(std::size_t row, std::size_t column) const {
    return lengths_[row * width_ + column];
  }

 private:
  std::size_t width_;
  std::vector<std::int32_t> lengths_;
};

RougeScore of_subsequence(const Words& reference, const Words& summary) {
  if (reference.empty() || summary.empty()) return {};
  const CommonLengths lengths(reference, summary);
  return score_of(lengths.at(reference.size(), summary.size()), reference.size(), summary.size());
}

// Marks the words of `reference` that are in its longest common subsequence with `sentence`, the
// one that rouge-score finds.
void mark_common(const Words& reference, const Words& sentence, std::vector<bool>& marked) {
  const CommonLengths lengths(reference, sentence);
  for (std::size_t i = reference.size(), j = sentence.size(); i > 0 && j > 0;) {
    if (reference[i - 1] == sentence[j - 1]) {
      marked[--i] = true;
      --j;
    } else if (lengths.at(i, j - 1) > lengths.at(i - 1, j)) {
      --j;
    } else {
      --i;
    }
  }
}

// Of each sentence of the reference the union over those of the summary; a word counts as often as
// both sides have it.
RougeScore of_sentences(const std::vector<Words>& reference, const std::vector<Words>& summary) {
  std::map<Word, std::int64_t> left_reference, left_summary;
  std::size_t reference_words = 0, summary_words = 0;
  for (const Words& sentence : reference) {
    reference_words += sentence.size();
    for (const Word word : sentence) ++left_reference[word];
  }
  for (const Words& sentence : summary) {
    summary_words += sentence.size();
    for (const Word word : sentence) ++left_summary[word];
  }
  if (reference_words == 0 || summary_words == 0) return {};
  std::int64_t hits = 0;
  for (const Words& wanted : reference) {
    std::vector<bool> marked(wanted.size());
    for (const Words& sentence : summary) mark_common(wanted, sentence, marked);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (!marked[i]) continue;
      std::int64_t& in_summary = left_summary[wanted[i]];
      std::int64_t& in_reference = left_reference[wanted[i]];
      if (in_summary <= 0 || in_reference <= 0) continue;
      ++hits;
      --in_summary;
      --in_reference;
    }
  }
  return score_of(static_cast<double>(hits), reference_words, summary_words);
}

std::vector<Words> sentences_of(std::string_view text, Dictionary& dictionary) {
  std::vector<Words> sentences;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) sentences.push_back(dictionary.words_of(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return sentences;
}

}  // namespace

Rouge rouge(std::string_view reference, std::string_view summary, bool stem) {
  Dictionary dictionary(stem);
  const Words wanted = dictionary.words_of(reference), found = dictionary.words_of(summary);
  return {of_runs(wanted, found, 1), of_runs(wanted, found, 2), of_subsequence(wanted, found),
          of_sentences(sentences_of(reference, dictionary), sentences_of(summary, dictionary))};
}

}  // namespace qloft::metrics
