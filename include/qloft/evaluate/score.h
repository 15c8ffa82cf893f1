#pragma once
// Named scores. A task says once how each of its numbers is called and shown; reports, tables, CSV
// and plots read them by key and know no task. No torch here.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qloft::evaluate {

// share: from 0 to 1, shown in per cent.
enum class Unit : std::uint8_t { number, share, count };

struct ScoreInfo {
  std::string key;         // its field of a JSON object
  std::string label = {};  // its line on the terminal; empty: shown with another, or not at all
  Unit unit = Unit::number;
  int decimals = 0;
  bool higher_is_better = false;
  std::string error = {};  // key of its standard error; empty: none
  std::string whole = {};  // of a count: key of the count that it is a part of; empty: none

  // How comparisons show it. The keys of compared scores are distinct over all tasks.
  struct Comparison {
    std::string column;  // title of a table's column
    int decimals = 0;
    std::string title;   // "Loss on the answers": the title of its plots
    std::string word;    // "loss": on axes, and in the names of the plots' files
    bool always = true;  // CSV and JSON name it even where no row has it
  };
  std::optional<Comparison> compared = {};
};

// What a task gave, in its own order.
class Scores {
 public:
  void set(std::string key, double value) { items_.emplace_back(std::move(key), value); }
  std::optional<double> find(std::string_view key) const {
    for (const auto& [name, value] : items_) {
      if (name == key) return value;
    }
    return std::nullopt;
  }
  const std::vector<std::pair<std::string, double>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, double>> items_;
};

}  // namespace qloft::evaluate
