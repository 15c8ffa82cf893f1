#pragma once
// The plots of a comparison: what is shown (plots.cpp), and how gnuplot draws it (gnuplot.cpp).

#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "qloft/compare.h"
#include "qloft/core/progress.h"

namespace qloft::compare {

struct Series {
  std::string title;
  std::vector<std::pair<double, double>> points;
  bool reference = false;  // one value, drawn as a line across the plot
};

// One line a series.
struct LinePlot {
  std::string x_label, y_label;
  std::vector<Series> series;
  bool x_doubles = false;       // logarithmic, base 2
  bool x_at_points = false;     // a tic at every x that occurs
  std::vector<double> y_ticks;  // not empty: y is logarithmic
};

// One stacked bar a row, lying.
struct BarPlot {
  std::string x_label;
  std::vector<std::string> parts;
  std::vector<std::pair<std::string, std::vector<double>>> bars;
};

// A colour a cell: rows downwards, columns to the right; a cell that is not there is negative.
struct GridPlot {
  std::string x_label, y_label, color_label;
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;
};

struct Plot {
  std::string name;     // of its file
  std::string title;    // one line
  std::string caption;  // a sentence or two on how to read it
  std::variant<LinePlot, BarPlot, GridPlot> content;
};

// The plots that these rows have figures for.
std::vector<Plot> plots_of(const Report& report);

struct DrawnPlot {
  Plot plot;
  std::filesystem::path file;  // SVG
};

// Draws each plot into folder/NAME.svg by the program gnuplot, and keeps what it was told in
// folder/NAME.gp. Without gnuplot on the path nothing is drawn and progress is told.
std::vector<DrawnPlot> draw(const std::vector<Plot>& plots, const std::filesystem::path& folder,
                            Progress& progress);

// What gnuplot is told, but for where the output goes.
std::string gnuplot_script(const Plot& plot);

}  // namespace qloft::compare
