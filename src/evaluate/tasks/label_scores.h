#pragma once
// What tasks of texts with labels have in common: their options, how texts are made ready, and the
// scores of what a head says of them.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "qloft/data/labelled.h"
#include "qloft/evaluate.h"
#include "qloft/train/labelled.h"
#include "tasks/row.h"

namespace qloft::evaluate {

struct LabelOptions {
  std::int64_t limit = 0;
  std::int64_t batch = 16;
  std::int64_t length = 0;
};

template <typename Visitor>
void visit_options(LabelOptions& o, Visitor& v) {
  v("--limit", o.limit, kLimitHelp);
  v("--batch", at_most(o.batch, kMostBatch), kBatchHelp);
  v("--length", at_most(o.length, kMostTokens), kLengthHelp);
}

struct LabelMetric {
  const char* key;
  const char* label;
  bool share = false;  // from 0 to 1, shown in per cent
  bool higher_is_better = true;
};

// F1 is that of the second of two labels; of more labels it is the mean of each one's.
inline constexpr LabelMetric kAccuracy{"accuracy", "accuracy", true}, kF1{"f1", "F1", true},
    kMatthews{"matthews", "Matthews"}, kPearson{"pearson", "Pearson"},
    kSpearman{"spearman", "Spearman"}, kSquaredError{"mse", "mean squared error", false, false};

// The first metric is what early stops and the best checkpoint go by.
struct LabelScores {
  std::string name;   // of the task, which keys begin with
  std::string title;  // of plots
  std::vector<LabelMetric> metrics;
};

struct LabelData {
  train::Labelled examples;
  std::int64_t truncated = 0;
};

void check_label_options(const LabelOptions& options, const std::filesystem::path& data);
// Warns where texts are cut.
LabelData encode_labels(const std::vector<data::LabelledText>& texts, const Materials& materials,
                        const LabelOptions& options, Progress& progress);
// Throws ComputationError for a score that is not finite.
Scores score_labels(const LabelScores& wanted, const Subject& subject, const LabelOptions& options,
                    const LabelData& data, Progress& progress);
// The scores of a row, what they count and how much was cut.
std::vector<ScoreInfo> infos_of(const LabelScores& wanted);

}  // namespace qloft::evaluate
