#pragma once
// ROUGE (Lin 2004), as the rouge-score package 0.1.2 counts it.

#include <string>
#include <string_view>

namespace qloft::metrics {

struct RougeScore {
  double precision = 0, recall = 0, f1 = 0;  // 0 to 1
};

struct Rouge {
  RougeScore one, two;  // of words and of pairs of words
  RougeScore l;         // of the longest common subsequence of both texts
  RougeScore l_sum;     // of the sentences' ones; a sentence is a line
};

// Words are runs of a-z and 0-9 of the text in lower case; `stem`: those of more than three
// letters by porter_stem.
Rouge rouge(std::string_view reference, std::string_view summary, bool stem = false);

// The stem of a word in lower case (Porter 1980, with NLTK's extensions, which rouge-score uses).
std::string porter_stem(std::string word);

}  // namespace qloft::metrics
