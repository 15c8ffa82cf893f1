#include "qloft/data/rows.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>

#include "element_index.h"
#include "line_index.h"

namespace qloft::data {

struct Rows::State {
  struct Elements {
    SourceFile file;
    ElementIndex index;
  };
  std::variant<LineIndex, Elements> rows;

  static State open(const std::filesystem::path& path) {
    SourceFile file(path);
    if (auto index = find_elements(file)) return {Elements{std::move(file), *std::move(index)}};
    return {LineIndex(std::move(file))};
  }
};

Rows::Rows(const std::filesystem::path& file)
    : state_(std::make_shared<const State>(State::open(file))) {}

std::int64_t Rows::size() const {
  const auto* elements = std::get_if<State::Elements>(&state_->rows);
  return elements != nullptr ? elements->index.size() : std::get<LineIndex>(state_->rows).size();
}

io::Json Rows::read(std::int64_t index) const {
  if (const auto* lines = std::get_if<LineIndex>(&state_->rows)) {
    return io::parse_json(lines->line(index), lines->file().path(), lines->line_number(index));
  }
  const auto& elements = std::get<State::Elements>(state_->rows);
  try {
    return io::parse_json(elements.index.element(elements.file, index), {});
  } catch (const InputError& error) {
    // The line within the element says nothing of the file.
    std::string message = error.what();
    const std::string line = error.location().field + ": ";
    if (message.starts_with(line)) message.erase(0, line.size());
    throw InputError(location(index), message);
  }
}

ErrorLocation Rows::location(std::int64_t index) const {
  if (const auto* lines = std::get_if<LineIndex>(&state_->rows)) {
    return {lines->file().path(), "line " + std::to_string(lines->line_number(index))};
  }
  return {std::get<State::Elements>(state_->rows).file.path(),
          "element " + std::to_string(index + 1)};
}

bool is_rows_file(const std::filesystem::path& file) {
  return file.extension() == ".jsonl" || file.extension() == ".json";
}

}  // namespace qloft::data
