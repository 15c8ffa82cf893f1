#include "example_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "table.h"

namespace qloft::cli {
namespace {

constexpr std::size_t kMargin = 4;  // of "  + "
constexpr const char* kLearned = "\033[1;32m";
constexpr const char* kDim = "\033[2m";
constexpr const char* kPlain = "\033[0m";

// On one line, every space and control character to be seen.
std::string visible(const std::string& piece) {
  if (piece.empty()) return "..";  // the next one completes the character
  std::string text;
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ' ') {
      text += "\xc2\xb7";
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (c == '\r') {
      text += "\\r";
    } else if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text;
}

struct Cell {
  std::string token, id;
  std::size_t width = 0;
};

// Two lines: tokens, and ids below.
std::string format_cells(const std::vector<Cell>& cells, bool learned, bool colours) {
  std::string tokens = learned ? "  + " : "  - ", ids(kMargin, ' ');
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Cell& cell = cells[i];
    const bool last = i + 1 == cells.size();
    const auto padding = [&](const std::string& text) {
      return std::string(last ? 0 : cell.width - text_width(text) + 2, ' ');
    };
    const bool painted = colours && learned;
    tokens += (painted ? kLearned + cell.token + kPlain : cell.token) + padding(cell.token);
    ids += cell.id + padding(cell.id);
  }
  return tokens + "\n" + (colours ? kDim + ids + kPlain : ids) + "\n";
}

std::string heading(const pipeline::ShownExample& e) {
  std::string text =
      fmt::format("{}, {}: {} tokens, {} learned", e.file.string(), e.location, e.ids.size(),
                  std::count(e.learned.begin(), e.learned.end(), std::uint8_t{1}));
  if (e.truncated) text += fmt::format("; truncated, {} more were cut off", e.dropped);
  if (e.left_out) text += "; left out, nothing in it counts";
  if (e.endless) text += "; no end token behind what is learned";
  if (e.step) {
    text += fmt::format("; step {}", *e.step);
    if (e.micro_batch > 1) text += fmt::format(", micro-batch {}", *e.micro_batch);
    text += fmt::format(", row {}", *e.row);
    if (e.column > 0) text += fmt::format(" from column {}", *e.column);
  } else if (!e.left_out) {
    text += "; the run ends before it";
  }
  return text + "\n";
}

}  // namespace

std::string format_example(const pipeline::ShownExample& example, std::size_t width, bool colours) {
  std::string text = heading(example);
  std::vector<Cell> line;
  std::size_t used = kMargin;
  bool learned = false;
  const auto finish_line = [&] {
    if (!line.empty()) text += format_cells(line, learned, colours);
    line.clear();
    used = kMargin;
  };
  for (std::size_t i = 0; i < example.ids.size(); ++i) {
    Cell cell{visible(example.tokens[i]), std::to_string(example.ids[i])};
    cell.width = std::max(text_width(cell.token), cell.id.size());
    const bool counts = example.learned[i] != 0;
    if (counts != learned || used + cell.width > width) finish_line();
    learned = counts;
    used += cell.width + 2;
    line.push_back(std::move(cell));
    if (example.tokens[i].ends_with('\n')) finish_line();
  }
  finish_line();
  return text;
}

}  // namespace qloft::cli
