#include "plan_errors.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "clock.h"
#include "matrices_at_once.h"
#include "qloft/core/error.h"
#include "qloft/core/side_by_side.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

std::optional<std::vector<double>> errors_of(const io::Json& line, std::size_t candidates) {
  const auto list = line.find("errors");
  if (list == line.end() || !list->is_array() || list->size() != candidates) return std::nullopt;
  std::vector<double> errors;
  for (const io::Json& error : *list) {
    if (!error.is_number()) return std::nullopt;
    errors.push_back(error.get<double>());
    if (!std::isfinite(errors.back()) || errors.back() < 0) return std::nullopt;
  }
  return errors;
}

double mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum / static_cast<double>(std::max<std::size_t>(1, values.size()));
}

// What an error of this matrix is in nats a prediction, where the metric tells, so that errors of
// different matrices add up (docs/methods/sensitivity.md).
double unit_of(decompose::Metric metric, const decompose::Statistics& known,
               const std::optional<statistics::File>& statistics) {
  using decompose::Metric;
  if (!statistics) return 1;
  const statistics::Origin& origin = statistics->origin();
  if (origin.token_weights == statistics::TokenWeights::loss && decompose::needs_gram(metric)) {
    const double rows = metric == Metric::fisher_gram ? mean_square(known.fisher_rows) : 1;
    return rows > 0 ? statistics::nats_of_gram(origin) / rows : 0;
  }
  if (metric != Metric::fisher_gram) return 1;
  double trace = 0;
  for (std::int64_t j = 0; j < known.gram.columns(); ++j) trace += known.gram(j, j);
  const auto columns = static_cast<double>(known.gram.columns());
  return columns * static_cast<double>(statistics::predictions_of(origin)) / (2 * trace);
}

// Of each format, and within it of each rank.
std::vector<double> find_errors(MatrixView<const float> weight, const decompose::Recipe& recipe,
                                const Candidates& candidates, const decompose::Statistics& known,
                                const QuantizeTarget& target) {
  if (candidates.ranks.empty()) {
    return decompose::format_errors(weight, recipe, candidates.formats, known, target.weight());
  }
  const auto count = static_cast<std::ptrdiff_t>(candidates.ranks.size());
  if (target.adapted) {
    return decompose::format_errors(weight, recipe, candidates.formats, candidates.ranks, known,
                                    target.weight());
  }
  const std::vector<double> plain =
      decompose::format_errors(weight, recipe, candidates.formats, known, target.weight());
  std::vector<double> errors;
  for (const double error : plain) errors.insert(errors.end(), count, error);
  return errors;
}

std::vector<double> errors_of_one(const quantized::ModelFiles& files, const QuantizeTarget& target,
                                  const Candidates& candidates, const decompose::Recipe& recipe,
                                  const std::optional<statistics::File>& statistics) {
  decompose::Recipe its = recipe;
  if (!target.adapted) its.rank = 0;
  const Matrix weight = files.read_matrix(target.id);
  files.drop(target.id);
  const decompose::Statistics known = statistics_of(statistics, target, its);
  try {
    auto errors = find_errors(weight.view(), its, candidates, known, target);
    const double unit = unit_of(its.metric, known, statistics);
    for (double& error : errors) error *= unit;
    if (!std::ranges::all_of(errors, [](double error) { return std::isfinite(error); })) {
      throw ComputationError({}, "the error is not finite");
    }
    return errors;
  } catch (const Error&) {
    rethrow_naming(target, files);
  }
}

}  // namespace

ErrorFile::ErrorFile(const fs::path& folder, const io::Json& work, std::size_t candidates)
    : journal_(folder / ("errors-" + work_name(work) + ".jsonl"), work) {
  for (const io::Json& piece : journal_.pieces()) {
    const auto name = piece.find("name");
    auto errors = errors_of(piece, candidates);
    if (name == piece.end() || !name->is_string() || !errors) continue;
    errors_[name->get<std::string>()] = std::move(*errors);
  }
}

void ErrorFile::add(const std::string& name, std::vector<double> errors) {
  journal_.add({{"name", name}, {"errors", errors}});
  errors_[name] = std::move(errors);
}

void find_errors(const quantized::ModelFiles& files, const std::vector<QuantizeTarget>& targets,
                 const Candidates& candidates, const decompose::Recipe& recipe,
                 const std::optional<statistics::File>& statistics, ErrorFile& file,
                 Progress& progress) {
  const auto is_known = [&](const QuantizeTarget& t) { return file.errors().contains(t.weight()); };
  const std::uint64_t total = targets.size();
  auto done = static_cast<std::uint64_t>(std::ranges::count_if(targets, is_known));
  if (done == total) return;
  const std::size_t ranks = candidates.ranks.size();
  progress.begin("errors of " + std::to_string(candidates.formats.size()) + " formats" +
                     (ranks > 0 ? " and " + std::to_string(ranks) + " ranks" : std::string()),
                 total, "matrices");
  if (done > 0) progress.update(done, "known");
  auto flushed = Clock::now();
  std::vector<const QuantizeTarget*> unknown;
  for (const QuantizeTarget& target : targets) {
    if (!is_known(target)) unknown.push_back(&target);
  }
  std::vector<std::vector<double>> found(unknown.size());
  const auto work = [&](std::int64_t i) {
    const auto index = static_cast<std::size_t>(i);
    found[index] = errors_of_one(files, *unknown[index], candidates, recipe, statistics);
  };
  const auto finish = [&](std::int64_t i) {
    const auto index = static_cast<std::size_t>(i);
    file.add(unknown[index]->weight(), std::move(found[index]));
    if (seconds_since(flushed) > kSecondsBetweenFlushes) {
      file.flush();
      flushed = Clock::now();
    }
    progress.update(++done, unknown[index]->module);
    if (done < total && progress.stop_requested()) throw Interrupted({}, "stopped");
  };
  try {
    side_by_side(std::ssize(unknown), matrices_at_once(unknown, recipe), progress, work, finish);
  } catch (const Interrupted&) {
    file.flush();
    progress.end();
    throw Interrupted({}, "the errors of " + std::to_string(done) + " of " + std::to_string(total) +
                              " matrices are found and kept; the same command goes on from there");
  }
  file.flush();
  progress.end();
}

}  // namespace qloft::pipeline
