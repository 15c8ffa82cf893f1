// classification and regression: any file of texts with labels or numbers, by the names of its
// columns and the labels of the model's head.

#include "qloft/data/named_columns.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "tasks/label_scores.h"
#include "tasks/row.h"

namespace qloft::evaluate {
namespace {

namespace fs = std::filesystem;
using architecture::HeadKind;
using architecture::HeadRequest;
using architecture::Problem;

struct ColumnOptions : LabelOptions {
  data::NamedColumns columns;
};

struct ClassOptions : ColumnOptions {};
struct NumberOptions : ColumnOptions {};

template <typename Visitor>
void visit_options(NumberOptions& o, Visitor& v) {
  visit_options(static_cast<LabelOptions&>(o), v);
  v("--text-column", o.columns.text, kTextColumnHelp);
  v("--label-column", o.columns.label, kLabelColumnHelp);
}

template <typename Visitor>
void visit_options(ClassOptions& o, Visitor& v) {
  visit_options(static_cast<LabelOptions&>(o), v);
  v("--text-column", o.columns.text, kTextColumnHelp);
  v("--label-column", o.columns.label, kLabelColumnHelp);
  v("--labels", o.columns.labels, kLabelsHelp);
}

LabelScores class_scores() {
  return {"classification", "Classification", {kAccuracy, kF1, kMatthews}};
}

LabelScores number_scores() {
  return {"regression", "Regression", {kPearson, kSpearman, kSquaredError}};
}

// ------------------------------------------------------------------------------- the head

bool is_sequence(const std::optional<HeadRequest>& head, Problem problem) {
  return head && head->kind == HeadKind::sequence && head->problem == problem;
}

// What transformers calls labels that nobody named.
bool is_numbered(const std::vector<std::string>& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] != "LABEL_" + std::to_string(i)) return false;
  }
  return true;
}

// A head that has all labels of the data already keeps its own; one without names has them by
// their places.
bool has_labels(const std::vector<std::string>& own, const std::vector<std::string>& found) {
  const bool numbered = is_numbered(own);
  return std::ranges::all_of(found, [&](const std::string& label) {
    if (std::ranges::find(own, label) != own.end()) return true;
    for (std::size_t i = 0; numbered && i < own.size(); ++i) {
      if (label == std::to_string(i)) return true;
    }
    return false;
  });
}

HeadRequest find_classes(const std::vector<Setting>& settings, const HeadSource& source) {
  const data::NamedColumns columns = options_of<ClassOptions>(settings).columns;
  data::expect_sound(columns);
  HeadRequest head{HeadKind::sequence, columns.labels, Problem::single_label};
  if (!head.labels.empty()) return head;
  const bool own = is_sequence(source.own, Problem::single_label);
  if (!source.learned.empty()) {
    head.labels = data::labels_in(columns, source.learned);
    if (own && has_labels(source.own->labels, head.labels)) head.labels = source.own->labels;
    return head;
  }
  if (!own) {
    throw InputError({source.file, "architectures"},
                     "expected a model, or an adapter, whose head has labels of its own, found "
                     "none: fine-tune it first, or name them (--labels)");
  }
  head.labels = source.own->labels;
  return head;
}

HeadRequest find_number(const std::vector<Setting>&, const HeadSource& source) {
  HeadRequest head{HeadKind::sequence, {"score"}, Problem::regression};
  if (is_sequence(source.own, Problem::regression) && source.own->labels.size() == 1) {
    head.labels = source.own->labels;
  }
  return head;
}

// ------------------------------------------------------------------------------- data

LabelData read_columns(const Materials& materials, const ColumnOptions& options,
                       const std::vector<fs::path>& files, Progress& progress) {
  std::vector<std::string> labels;
  const architecture::Head& head = materials.layout.head;
  if (head.problem == Problem::single_label) labels = head.labels;
  std::vector<data::LabelledText> texts;
  for (const fs::path& file : files) {
    std::ranges::move(data::read_named(options.columns, labels, file), std::back_inserter(texts));
  }
  return encode_labels(texts, materials, options, progress);
}

template <typename Options, LabelScores (*kScores)()>
struct Columns {
  static void check(const Options& options, const fs::path& data, std::int64_t, Progress&) {
    data::expect_sound(options.columns);
    check_label_options(options, data);
  }
  static LabelData prepare(const Materials& materials, const Options& options, const fs::path& file,
                           Progress& progress) {
    return read_columns(materials, options, {file}, progress);
  }
  static TrainingSet learn(const Materials& materials, const Options& options,
                           const std::vector<fs::path>& files, const Learning&,
                           Progress& progress) {
    const LabelData data = read_columns(materials, options, files, progress);
    return {data.examples.examples(), data.examples.objective(), data.examples.fingerprint()};
  }
  static Scores run(const Subject& subject, const Options& options, const LabelData& data,
                    Progress& progress) {
    return score_labels(kScores(), subject, options, data, progress);
  }
};

template <typename Options, LabelScores (*kScores)()>
Task column_task(HeadRequest (*find_head)(const std::vector<Setting>&, const HeadSource&)) {
  using Functions = Columns<Options, kScores>;
  Task row;
  row.name = row.in_recipe = kScores().name;
  row.data_set = DataSet::labels;
  row.find_head = find_head;
  row.scores = infos_of(kScores());
  return make_task<Options, Functions::check, Functions::prepare, Functions::run, Functions::learn>(
      std::move(row));
}

}  // namespace

Task classification_task() {
  return column_task<ClassOptions, class_scores>(find_classes);
}

Task regression_task() {
  return column_task<NumberOptions, number_scores>(find_number);
}

}  // namespace qloft::evaluate
