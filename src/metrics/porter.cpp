#include <algorithm>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qloft/metrics/rouge.h"

namespace qloft::metrics {
namespace {

bool is_vowel_letter(char c) {
  return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

// A y is a consonant where the letter before it is none.
std::vector<bool> consonants(std::string_view word) {
  std::vector<bool> result(word.size());
  for (std::size_t i = 0; i < word.size(); ++i) {
    result[i] = word[i] == 'y' ? i == 0 || !result[i - 1] : !is_vowel_letter(word[i]);
  }
  return result;
}

// How often a vowel is followed by a consonant.
int measure(std::string_view stem) {
  const auto flags = consonants(stem);
  int count = 0;
  for (std::size_t i = 1; i < flags.size(); ++i) count += flags[i] && !flags[i - 1] ? 1 : 0;
  return count;
}

bool has_measure(std::string_view stem) {
  return measure(stem) > 0;
}

bool has_long_measure(std::string_view stem) {
  return measure(stem) > 1;
}

bool has_vowel(std::string_view stem) {
  return std::ranges::count(consonants(stem), false) > 0;
}

bool ends_in_double_consonant(std::string_view word) {
  return word.size() >= 2 && word.back() == word[word.size() - 2] && consonants(word).back();
}

bool ends_consonant_vowel_consonant(std::string_view word) {
  const auto flags = consonants(word);
  const std::size_t n = word.size();
  if (n == 2) return !flags[0] && flags[1];
  return n >= 3 && flags[n - 3] && !flags[n - 2] && flags[n - 1] && word.back() != 'w' &&
         word.back() != 'x' && word.back() != 'y';
}

struct Rule {
  std::string_view suffix, replacement;
  bool (*condition)(std::string_view stem) = nullptr;  // none: always
};

// The first rule whose suffix the word has decides. True where it changed the word.
bool apply(std::string& word, std::initializer_list<Rule> rules) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    const std::string_view stem =
        std::string_view(word).substr(0, word.size() - rule.suffix.size());
    if (rule.condition != nullptr && !rule.condition(stem)) return false;
    word = std::string(stem) + std::string(rule.replacement);
    return true;
  }
  return false;
}

void plurals(std::string& word) {
  if (word.size() == 4 && word.ends_with("ies")) {
    word.pop_back();
    return;
  }
  apply(word, {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}});
}

void past_tenses(std::string& word) {
  if (word.ends_with("ied")) {
    word.resize(word.size() - (word.size() == 4 ? 1 : 2));
    return;
  }
  if (word.ends_with("eed")) {
    apply(word, {{"eed", "ee", has_measure}});
    return;
  }
  if (!apply(word, {{"ed", "", has_vowel}}) && !apply(word, {{"ing", "", has_vowel}})) return;
  for (const std::string_view ending : {"at", "bl", "iz"}) {
    if (!word.ends_with(ending)) continue;
    word += 'e';
    return;
  }
  if (ends_in_double_consonant(word)) {
    if (word.back() != 'l' && word.back() != 's' && word.back() != 'z') word.pop_back();
    return;
  }
  if (measure(word) == 1 && ends_consonant_vowel_consonant(word)) word += 'e';
}

bool is_consonant_behind_a_letter(std::string_view stem) {
  return stem.size() > 1 && consonants(stem).back();
}

void double_suffixes(std::string& word) {
  while (word.ends_with("alli") && has_measure(std::string_view(word).substr(0, word.size() - 4))) {
    word.resize(word.size() - 2);
  }
  const bool any = apply(word, {{"ational", "ate", has_measure}, {"tional", "tion", has_measure},
                                {"enci", "ence", has_measure},   {"anci", "ance", has_measure},
                                {"izer", "ize", has_measure},    {"bli", "ble", has_measure},
                                {"alli", "al", has_measure},     {"entli", "ent", has_measure},
                                {"eli", "e", has_measure},       {"ousli", "ous", has_measure},
                                {"ization", "ize", has_measure}, {"ation", "ate", has_measure},
                                {"ator", "ate", has_measure},    {"alism", "al", has_measure},
                                {"iveness", "ive", has_measure}, {"fulness", "ful", has_measure},
                                {"ousness", "ous", has_measure}, {"aliti", "al", has_measure},
                                {"iviti", "ive", has_measure},   {"biliti", "ble", has_measure},
                                {"fulli", "ful", has_measure}});
  // The l of "logi" counts to the stem.
  if (!any && word.ends_with("logi") &&
      has_measure(std::string_view(word).substr(0, word.size() - 3))) {
    word.pop_back();
  }
}

bool is_long_and_ends_in_s_or_t(std::string_view stem) {
  return has_long_measure(stem) && (stem.back() == 's' || stem.back() == 't');
}

void single_suffixes(std::string& word) {
  apply(word, {{"icate", "ic", has_measure},
               {"ative", "", has_measure},
               {"alize", "al", has_measure},
               {"iciti", "ic", has_measure},
               {"ical", "ic", has_measure},
               {"ful", "", has_measure},
               {"ness", "", has_measure}});
  apply(word, {{"al", "", has_long_measure},
               {"ance", "", has_long_measure},
               {"ence", "", has_long_measure},
               {"er", "", has_long_measure},
               {"ic", "", has_long_measure},
               {"able", "", has_long_measure},
               {"ible", "", has_long_measure},
               {"ant", "", has_long_measure},
               {"ement", "", has_long_measure},
               {"ment", "", has_long_measure},
               {"ent", "", has_long_measure},
               {"ion", "", is_long_and_ends_in_s_or_t},
               {"ou", "", has_long_measure},
               {"ism", "", has_long_measure},
               {"ate", "", has_long_measure},
               {"iti", "", has_long_measure},
               {"ous", "", has_long_measure},
               {"ive", "", has_long_measure},
               {"ize", "", has_long_measure}});
}

void final_letters(std::string& word) {
  if (word.ends_with('e')) {
    const std::string_view stem = std::string_view(word).substr(0, word.size() - 1);
    const int length = measure(stem);
    if (length > 1 || (length == 1 && !ends_consonant_vowel_consonant(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(std::string_view(word).substr(0, word.size() - 1)) > 1) {
    word.pop_back();
  }
}

}  // namespace

std::string porter_stem(std::string word) {
  static constexpr std::pair<std::string_view, std::string_view> kIrregular[] = {
      {"sky", "sky"},        {"skies", "sky"},        {"dying", "die"},
      {"lying", "lie"},      {"tying", "tie"},        {"news", "news"},
      {"innings", "inning"}, {"inning", "inning"},    {"outings", "outing"},
      {"outing", "outing"},  {"cannings", "canning"}, {"canning", "canning"},
      {"howe", "howe"},      {"proceed", "proceed"},  {"exceed", "exceed"},
      {"succeed", "succeed"}};
  for (const auto& [from, to] : kIrregular) {
    if (word == from) return std::string(to);
  }
  if (word.size() <= 2) return word;
  plurals(word);
  past_tenses(word);
  apply(word, {{"y", "i", is_consonant_behind_a_letter}});
  double_suffixes(word);
  single_suffixes(word);
  final_letters(word);
  return word;
}

}  // namespace qloft::metrics
