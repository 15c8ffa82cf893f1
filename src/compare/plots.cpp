#include "plots.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "qloft/evaluate/task.h"

namespace qloft::compare {
namespace {

// y is logarithmic where the values span more than this.
constexpr double kLogarithmicFrom = 4;

using Value = std::function<std::optional<double>(const Row&)>;

// A score of a row before or after tuning, as plots show it.
Value score_of(const evaluate::ScoreInfo& info, bool tuned) {
  return [info, tuned](const Row& row) -> std::optional<double> {
    if (tuned && !row.after) return std::nullopt;
    const auto value = (tuned ? *row.after : row.before).find(info.key);
    if (!value) return std::nullopt;
    return info.unit == evaluate::Unit::share ? 100 * *value : *value;
  };
}

std::string axis_of(const evaluate::ScoreInfo& info) {
  return info.compared->word + (info.unit == evaluate::Unit::share ? ", %" : "");
}

void scale_y(LinePlot& plot) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (const Series& series : plot.series) {
    for (const auto& [x, y] : series.points) {
      least = std::min(least, y);
      most = std::max(most, y);
    }
  }
  if (!(least > 0) || !(most > kLogarithmicFrom * least)) return;
  for (double power = std::pow(10, std::floor(std::log10(least))); power <= most; power *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) {
      // One tic beyond each end, so that the axis is never without two.
      if (step * power > least / 2.5 && step * power < most * 2.5) {
        plot.y_ticks.push_back(step * power);
      }
    }
  }
}

std::vector<std::string> groups_of(const std::vector<Row>& rows) {
  std::vector<std::string> groups;
  for (const Row& row : rows) {
    if (std::find(groups.begin(), groups.end(), row.group) == groups.end()) {
      groups.push_back(row.group);
    }
  }
  return groups;
}

// A line a group of what `value` is over `x`; rows in full precision are lines across.
std::vector<Series> lines_by_group(const Report& report, const Value& x, const Value& value,
                                   const std::string& suffix = "", bool references = true) {
  std::vector<Series> lines;
  for (const std::string& group : groups_of(report.rows)) {
    Series line{group + suffix, {}, false};
    for (const Row& row : report.rows) {
      const auto y = value(row);
      if (row.group != group || !y || !std::isfinite(*y)) continue;
      if (const auto at = x(row); at && row.relative_error) {
        line.points.emplace_back(*at, *y);
      } else if (references && !row.relative_error) {
        lines.push_back({row.name, {{0, *y}}, true});
      }
    }
    std::sort(line.points.begin(), line.points.end());
    // Several rows at one place differ in something else: another plot's subject.
    const bool study =
        line.points.size() > 1 && line.points.front().first == line.points.back().first;
    if (!line.points.empty() && !study) lines.push_back(std::move(line));
  }
  // References last: their lines are the quiet ones.
  std::stable_partition(lines.begin(), lines.end(), [](const Series& s) { return !s.reference; });
  return lines;
}

std::size_t points_in(const std::vector<Series>& lines) {
  std::set<double> at;
  for (const Series& line : lines) {
    if (line.reference) continue;
    for (const auto& [x, y] : line.points) at.insert(x);
  }
  return at.size();
}

// All values are one: nothing to see.
bool is_flat(const LinePlot& plot) {
  std::set<double> values;
  for (const Series& line : plot.series) {
    for (const auto& [x, y] : line.points) values.insert(y);
  }
  return values.size() < 2;
}

void add_lines(std::vector<Plot>& plots, std::string name, std::string title, std::string caption,
               LinePlot plot, bool may_be_logarithmic = true) {
  if (points_in(plot.series) < 2 || is_flat(plot)) return;
  if (may_be_logarithmic) scale_y(plot);
  plots.push_back({std::move(name), std::move(title), std::move(caption), std::move(plot)});
}

// ---------------------------------------------------------------------------------- by bits

std::string words(std::string name) {
  std::ranges::replace(name, '-', ' ');
  return name;
}

struct Axis {
  std::string name, label, caption;  // name: of the plots' files, "by-bits"
  Value value;
};

void add_by(const Axis& bits, const evaluate::ScoreInfo& info, bool tuned, std::vector<Plot>& plots,
            const Report& report) {
  LinePlot plot;
  plot.x_label = bits.label;
  plot.y_label = axis_of(info);
  plot.series = lines_by_group(report, bits.value, score_of(info, tuned));
  add_lines(plots, info.compared->word + "-" + bits.name + (tuned ? "-tuned" : ""),
            info.compared->title + " " + words(bits.name) + ", " + (tuned ? "after" : "before") +
                " tuning",
            bits.caption + " " + (info.higher_is_better ? "Higher" : "Lower") +
                " is better. Rows in full precision are dashed lines across.",
            std::move(plot), info.unit != evaluate::Unit::share);
}

void add_by_bits(std::vector<Plot>& plots, const Report& report) {
  const bool adapters = std::ranges::any_of(report.rows, [](const Row& row) {
    return row.relative_error && row.total_bits_per_weight > row.bits_per_weight;
  });
  for (const evaluate::ScoreInfo& info : evaluate::compared_scores()) {
    for (const bool tuned : {false, true}) {
      add_by(
          {"by-bits", "stored bits a weight", "Bits are stored bits a weight, all scales counted.",
           [](const Row& row) { return row.bits_per_weight; }},
          info, tuned, plots, report);
      if (!adapters) continue;
      add_by(
          {"by-total-bits", "stored bits a weight, with the adapter",
           "Bits are stored bits a weight, all scales and the adapter, as it is stored, counted.",
           [tuned](const Row& row) {
             return tuned ? row.tuned_total_bits_per_weight : row.total_bits_per_weight;
           }},
          info, tuned, plots, report);
    }
  }
}

// ---------------------------------------------------------------------------------- studies

// The rows whose group has several values of `x` at one width: a study of x.
Report study_of(const Report& report, const Value& x) {
  std::map<std::string, std::set<double>> values;
  const auto key = [](const Row& row) {
    char width[32];
    std::snprintf(width, sizeof width, "%.4f", row.bits_per_weight);
    return row.group + "\n" + row.method + "\n" + row.format + "\n" + width;
  };
  for (const Row& row : report.rows) {
    if (const auto at = x(row); at && row.relative_error) values[key(row)].insert(*at);
  }
  Report study;
  for (const Row& row : report.rows) {
    if (row.relative_error && values[key(row)].size() > 1) study.rows.push_back(row);
  }
  return study;
}

void add_study(std::vector<Plot>& plots, const Report& report, const std::string& name,
               const std::string& word, const std::string& label, const Value& x) {
  const Report study = study_of(report, x);
  const bool doubles = name == "rank";
  const auto both = [&](const evaluate::ScoreInfo& info) {
    std::vector<Series> lines =
        lines_by_group(study, x, score_of(info, false), ", before tuning", false);
    for (Series& line : lines_by_group(study, x, score_of(info, true), ", after tuning", false)) {
      lines.push_back(std::move(line));
    }
    return lines;
  };
  const auto add = [&](const std::string& what, const std::string& y, std::vector<Series> lines) {
    add_lines(plots, name + "-" + what, y + " by " + word,
              "Rows that differ in nothing but the " + word + ".",
              {label, y, std::move(lines), doubles, true, {}});
  };
  const Value error = [](const Row& row) { return row.relative_error; };
  add("error", "Mean relative error", lines_by_group(study, x, error));
  for (const evaluate::ScoreInfo& info : evaluate::compared_scores()) {
    add(info.compared->word, info.compared->title, both(info));
  }
}

// ---------------------------------------------------------------------------------- errors

void add_error_by_iteration(std::vector<Plot>& plots, const Report& report) {
  std::vector<Series> lines;
  std::set<std::vector<double>> seen;
  for (const Row& row : report.rows) {
    std::vector<double> sums;
    for (const RowMatrix& matrix : row.matrices) {
      if (matrix.relative_error.size() > sums.size()) sums.resize(matrix.relative_error.size());
    }
    if (sums.size() < 2) continue;
    for (std::size_t t = 0; t < sums.size(); ++t) {
      // A loop that ended early stays where it ended.
      for (const RowMatrix& matrix : row.matrices) {
        const auto& errors = matrix.relative_error;
        if (!errors.empty()) sums[t] += errors[std::min(t, errors.size() - 1)];
      }
      sums[t] /= static_cast<double>(row.matrices.size());
    }
    if (!seen.insert(sums).second) continue;  // the same start, tuned otherwise
    Series line{row.name, {}, false};
    for (std::size_t t = 0; t < sums.size(); ++t) {
      line.points.emplace_back(static_cast<double>(t + 1), sums[t]);
    }
    lines.push_back(std::move(line));
  }
  add_lines(plots, "error-by-iteration", "Relative error by iteration",
            "||W - Q - BA|| / ||W||, the mean over the matrices, after each alternation.",
            {"iteration", "mean relative error", std::move(lines), false, true, {}});
}

void add_error_by_layer(std::vector<Plot>& plots, const Report& report) {
  std::vector<Series> lines;
  std::set<std::vector<std::pair<double, double>>> seen;
  for (const Row& row : report.rows) {
    std::map<std::int64_t, std::pair<double, int>> layers;
    for (const RowMatrix& matrix : row.matrices) {
      if (!matrix.layer || matrix.relative_error.empty()) continue;
      auto& [sum, count] = layers[*matrix.layer];
      sum += matrix.relative_error.back();
      count += 1;
    }
    Series line{row.name, {}, false};
    for (const auto& [layer, sum] : layers) {
      line.points.emplace_back(static_cast<double>(layer), sum.first / sum.second);
    }
    if (!line.points.empty() && seen.insert(line.points).second) lines.push_back(std::move(line));
  }
  add_lines(plots, "error-by-layer", "Relative error by layer",
            "The mean over the matrices of each layer, after the last iteration.",
            {"layer", "mean relative error", std::move(lines), false, false, {}});
}

// ---------------------------------------------------------------------------------- others

void add_memory(std::vector<Plot>& plots, const Report& report) {
  BarPlot plot{
      "predicted memory of training, MB", {"weights", "gradients", "optimizer", "activations"}, {}};
  for (const Row& row : report.rows) {
    if (!row.memory) continue;
    constexpr double kMega = 1e6;
    const auto& m = *row.memory;
    plot.bars.push_back(
        {row.name,
         {m.weights / kMega, m.gradients / kMega, m.optimizer / kMega, m.activations / kMega}});
  }
  if (plot.bars.empty()) return;
  plots.push_back(
      {"memory", "Memory of training by row",
       "Predicted from the architecture, the stored bits and the tuning's batch and length.",
       std::move(plot)});
}

// The last part of the module's name.
std::string kind_of(const std::string& weight) {
  const std::string module = weight.substr(0, weight.rfind(".weight"));
  return module.substr(module.rfind('.') + 1);
}

void add_bit_pictures(std::vector<Plot>& plots, const Report& report) {
  std::map<std::vector<std::vector<double>>, std::size_t> seen;
  for (const Row& row : report.rows) {
    GridPlot grid{"", "layer", "stored bits", {}, {}};
    std::map<std::int64_t, std::map<std::string, double>> cells;
    std::set<double> widths;
    for (const RowMatrix& matrix : row.matrices) {
      if (!matrix.layer) continue;
      const std::string kind = kind_of(matrix.name);
      cells[*matrix.layer][kind] = matrix.bits_per_weight;
      // Second-level scales of small matrices differ in the third digit: no mixture.
      widths.insert(std::round(matrix.bits_per_weight * 10));
      if (std::ranges::find(grid.columns, kind) == grid.columns.end()) {
        grid.columns.push_back(kind);
      }
    }
    if (widths.size() < 2) continue;
    grid.rows.assign(static_cast<std::size_t>(cells.rbegin()->first) + 1,
                     std::vector<double>(grid.columns.size(), -1));
    for (const auto& [layer, kinds] : cells) {
      for (std::size_t i = 0; i < grid.columns.size(); ++i) {
        const auto found = kinds.find(grid.columns[i]);
        if (found != kinds.end()) grid.rows[static_cast<std::size_t>(layer)][i] = found->second;
      }
    }
    // Rows of one plan share a picture.
    const auto [same, is_new] = seen.emplace(grid.rows, plots.size());
    if (!is_new) {
      plots[same->second].title += ", " + row.name;
      continue;
    }
    plots.push_back({"bits-" + std::to_string(seen.size()), "Bits of each matrix: " + row.name,
                     "What the row's plan gives each layer and kind of matrix.", std::move(grid)});
  }
}

}  // namespace

std::vector<Plot> plots_of(const Report& report) {
  std::vector<Plot> plots;
  add_by_bits(plots, report);
  add_error_by_iteration(plots, report);
  add_study(plots, report, "rank", "rank", "rank",
            [](const Row& row) { return static_cast<double>(row.rank); });
  add_study(plots, report, "iterations", "number of iterations T", "T",
            [](const Row& row) -> std::optional<double> {
              if (!row.iterations) return std::nullopt;
              return static_cast<double>(*row.iterations);
            });
  add_error_by_layer(plots, report);
  add_memory(plots, report);
  add_bit_pictures(plots, report);
  return plots;
}

}  // namespace qloft::compare
