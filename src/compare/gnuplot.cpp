// Plots to gnuplot's language, and gnuplot as a child process.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <set>

#include "plots.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"

extern char** environ;

namespace qloft::compare {
namespace fs = std::filesystem;
namespace {

constexpr int kWidth = 760;
constexpr int kFontSize = 14;
// As gnuplot measures them: a letter of the key, what stands around an entry, a line.
constexpr double kLetterWidth = 0.61 * kFontSize;
constexpr double kAroundEntry = 70;
constexpr int kKeyLine = 22;

// Tones that stand out from a white and from a dark page.
const std::vector<std::string> kColors = {"#3b82c4", "#d9772b", "#3a9d5d", "#c0508f", "#8a6fd1",
                                          "#a98a1c", "#2a9d9d", "#c5483d", "#7d8794"};
// Stands for the colour of the page's text, which page.cpp puts in its place.
constexpr const char* kInk = "'#010203'";
constexpr const char* kGrid = "'#8f8f8f'";

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

// Within single quotes gnuplot replaces nothing; a quote is doubled.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

std::size_t letters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string tics(const std::vector<double>& values) {
  std::string out = "(";
  for (const double value : values) out += (out.size() > 1 ? ", " : "") + number(value);
  return out + ")";
}

// gnuplot takes letters, digits and '_' in a drawing's name.
std::string drawing_name(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// What all plots share. `height` in units of the drawing.
std::string preamble(const Plot& plot, int height) {
  return "set terminal svg size " + std::to_string(kWidth) + "," + std::to_string(height) +
         " dynamic noenhanced linewidth 1.3 font 'sans-serif," + std::to_string(kFontSize) +
         "' name " + quoted(drawing_name(plot.name)) + "\n" + "set border 3 linecolor rgb " + kInk +
         "\n" + "set tics nomirror out textcolor rgb " + kInk + "\n" + "set grid linecolor rgb " +
         kGrid + " linewidth 0.4 dashtype 3\n" + "set key textcolor rgb " + kInk + "\n";
}

// The key stands above the plot over the whole width, `lines` high.
std::string key_above(int lines, int columns, int height) {
  const double top = 1 - static_cast<double>(kKeyLine * lines + 14) / height;
  return "set tmargin at screen " + number(top) +
         "\nset key at screen 0.01, screen 0.99 left top horizontal Left reverse samplen 2 "
         "maxcols " +
         std::to_string(columns) + "\n";
}

std::string axis_labels(const std::string& x, const std::string& y) {
  std::string out;
  if (!x.empty()) out += "set xlabel " + quoted(x) + " offset 0,0.3 textcolor rgb " + kInk + "\n";
  if (!y.empty()) out += "set ylabel " + quoted(y) + " textcolor rgb " + kInk + "\n";
  return out;
}

std::string script(const Plot& plot, const LinePlot& lines) {
  std::size_t longest = 1;
  for (const Series& series : lines.series) longest = std::max(longest, letters(series.title));
  const int columns =
      std::clamp(static_cast<int>((kWidth - 140) /
                                  (kLetterWidth * static_cast<double>(longest) + kAroundEntry)),
                 1, 4);
  const int key_lines = (static_cast<int>(lines.series.size()) + columns - 1) / columns;
  const int height = 370 + kKeyLine * key_lines;
  std::string out = preamble(plot, height) + key_above(key_lines, columns, height);
  out += axis_labels(lines.x_label, lines.y_label);
  std::set<double> xs;
  double least = 1e300, most = -1e300;
  for (const Series& series : lines.series) {
    for (const auto& [x, y] : series.points) {
      if (!series.reference) xs.insert(x);
      least = std::min(least, y);
      most = std::max(most, y);
    }
  }
  const double first = *xs.begin(), last = *xs.rbegin();
  if (lines.x_doubles) {
    out +=
        "set logscale x 2\nset xrange [" + number(first / 1.15) + ":" + number(last * 1.15) + "]\n";
  } else {
    const double margin = 0.04 * (last - first);
    out += "set xrange [" + number(first - margin) + ":" + number(last + margin) + "]\n";
  }
  const bool whole = std::all_of(xs.begin(), xs.end(), [](double x) { return x == std::floor(x); });
  constexpr std::size_t kMostTics = 16;
  const bool at_points = lines.x_at_points && xs.size() <= kMostTics;
  if (!at_points && whole && last - first < kMostTics) out += "set xtics 1\n";
  if (at_points) out += "set xtics " + tics({xs.begin(), xs.end()}) + "\n";
  if (lines.y_ticks.empty()) {
    const double margin = most > least ? 0.06 * (most - least) : 0.05 * std::max(1.0, most);
    out += "set yrange [" + number(least - margin) + ":" + number(most + margin) + "]\n";
  } else {
    out += "set logscale y\nset mytics 1\nset ytics " + tics(lines.y_ticks) + "\nset yrange [" +
           number(least / 1.12) + ":" + number(most * 1.12) + "]\n";
  }
  std::string data, plots;
  std::size_t color = 0, references = 0;
  for (const Series& series : lines.series) {
    const std::string& tone = kColors[color % kColors.size()];
    plots += plots.empty() ? "plot " : ", \\\n     ";
    if (series.reference) {
      plots += number(series.points.front().second) + " with lines linecolor rgb " +
               quoted(kColors[kColors.size() - 1 - references % 2]) + " linewidth 1.2 dashtype " +
               std::to_string(2 + references % 3) + " title " + quoted(series.title);
      ++references;
      continue;
    }
    const std::string block = "$line" + std::to_string(color);
    data += block + " << END\n";
    for (const auto& [x, y] : series.points) data += number(x) + " " + number(y) + "\n";
    data += "END\n";
    // A second round of the colours is dashed.
    plots += block + " with linespoints linecolor rgb " + quoted(tone) +
             " linewidth 1.6 dashtype " + (color < kColors.size() ? "1" : "2") + " pointtype " +
             std::to_string(std::vector<int>{7, 5, 9, 11, 13}[color % 5]) +
             " pointsize 0.6 title " + quoted(series.title);
    ++color;
  }
  return out + data + plots + "\n";
}

std::string script(const Plot& plot, const BarPlot& bars) {
  constexpr int kBarHeight = 26, kAround = 110;
  const int count = static_cast<int>(bars.bars.size()), height = kAround + kBarHeight * count;
  std::string out = preamble(plot, height);
  out += key_above(1, static_cast<int>(bars.parts.size()), height);
  out += axis_labels(bars.x_label, "");
  out += "set grid noy\nset grid x\nset style fill solid 0.9 noborder\nset xrange [0:*]\n";
  out += "set yrange [" + number(count - 0.4) + ":-0.6]\nset ytics scale 0 (";
  for (int i = 0; i < count; ++i) {
    out += (i > 0 ? ", " : "") + quoted(bars.bars[static_cast<std::size_t>(i)].first) + " " +
           std::to_string(i);
  }
  out += ")\n$bars << END\n";
  for (int i = 0; i < count; ++i) {
    double left = 0;
    out += std::to_string(i);
    for (const double value : bars.bars[static_cast<std::size_t>(i)].second) {
      out += " " + number(left) + " " + number(left + value);
      left += value;
    }
    out += "\n";
  }
  out += "END\n";
  for (std::size_t part = 0; part < bars.parts.size(); ++part) {
    const std::string low = std::to_string(2 + 2 * part), high = std::to_string(3 + 2 * part);
    out += part == 0 ? "plot " : ", \\\n     ";
    out += "$bars using " + high + ":1:" + low + ":" + high +
           ":($1-0.36):($1+0.36) with boxxyerror" + " linecolor rgb " + quoted(kColors[part]) +
           " title " + quoted(bars.parts[part]);
  }
  return out + "\n";
}

std::string script(const Plot& plot, const GridPlot& grid) {
  // Many layers have flat cells without a figure.
  constexpr std::size_t kMostFigures = 40;
  const std::size_t layers = grid.rows.size(), kinds = grid.columns.size();
  const bool figures = layers <= kMostFigures;
  std::string out = preamble(plot, 120 + (figures ? 26 : 12) * static_cast<int>(layers));
  out += axis_labels(grid.x_label, grid.y_label);
  out += "unset key\nunset grid\nset style fill solid 1 noborder\n";
  out += std::string("set palette defined (0 '#b5541c', 1 '#8d5a97', 2 '#2b6cb0')\n") +
         "set cblabel " + quoted(grid.color_label) + " textcolor rgb " + kInk + "\n" +
         "set colorbox noborder\nset cbtics 1\n";
  out += "set xrange [-0.5:" + number(static_cast<double>(kinds) - 0.5) + "]\nset yrange [" +
         number(static_cast<double>(layers) - 0.5) + ":-0.5]\nset ytics 1\nset xtics scale 0 (";
  if (!figures) out.replace(out.rfind("set ytics 1"), 11, "set ytics 4");
  for (std::size_t i = 0; i < kinds; ++i) {
    out += (i > 0 ? ", " : "") + quoted(grid.columns[i]) + " " + std::to_string(i);
  }
  out += ")\n$cells << END\n";
  for (std::size_t layer = 0; layer < layers; ++layer) {
    for (std::size_t kind = 0; kind < kinds; ++kind) {
      const double bits = grid.rows[layer][kind];
      if (bits < 0) continue;
      char figure[16];
      std::snprintf(figure, sizeof figure, "%.2f", bits);
      out += std::to_string(kind) + " " + std::to_string(layer) + " " + number(bits) + " " +
             figure + "\n";
    }
  }
  out += "END\nplot $cells using 1:2:(0.48):(0.46):3 with boxxyerror linecolor palette";
  if (figures) out += ", \\\n     '' using 1:2:4 with labels textcolor rgb '#ffffff'";
  return out + "\n";
}

bool failed_to_start(int error) {
  return error == ENOENT || error == EACCES || error == ENOTDIR;
}

// The exit status; -1: gnuplot is not there. Its complaints go to `log`.
int run_gnuplot(const fs::path& file, const fs::path& log) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
  // -d: no start-up file of the user's.
  // A relative path may begin as an option does.
  std::string program = "gnuplot", defaults = "-d", script = fs::absolute(file).string();
  char* arguments[] = {program.data(), defaults.data(), script.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed_to_start(error)) return -1;
  if (error != 0) throw SystemError({"gnuplot", {}}, "cannot start", error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw SystemError({"gnuplot", {}}, "cannot wait for it", errno);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

// gnuplot quotes the script and then says what it minds.
std::string last_line(const fs::path& file) {
  std::string text = read_file(file);
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text.substr(text.rfind('\n') + 1);
}

}  // namespace

std::string gnuplot_script(const Plot& plot) {
  return std::visit([&](const auto& content) { return script(plot, content); }, plot.content);
}

std::vector<DrawnPlot> draw(const std::vector<Plot>& plots, const fs::path& folder,
                            Progress& progress) {
  std::vector<DrawnPlot> drawn;
  remove_whole(folder);
  if (plots.empty()) return drawn;
  make_folders(folder);
  for (const Plot& plot : plots) {
    const fs::path source = folder / (plot.name + ".gp"), out = folder / (plot.name + ".svg");
    const fs::path partial = folder / (plot.name + ".partial"), log = folder / (plot.name + ".log");
    write_file(source, gnuplot_script(plot));
    write_file(partial.string() + ".gp", "set output " + quoted(partial.string()) + "\nload " +
                                             quoted(source.string()) + "\nunset output\n");
    const int status = run_gnuplot(partial.string() + ".gp", log);
    remove_whole(partial.string() + ".gp");
    if (status == 0) {
      rename_whole(partial, out);
      drawn.push_back({plot, out});
    } else if (status > 0) {
      progress.warn(plot.name + ": gnuplot ended with status " + std::to_string(status) + ": " +
                    last_line(log));
    }
    remove_whole(log);
    remove_whole(partial);
    if (status < 0) {
      progress.note("no plots: the program gnuplot is not installed");
      break;
    }
  }
  return drawn;
}

}  // namespace qloft::compare
