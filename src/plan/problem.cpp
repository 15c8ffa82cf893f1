#include "problem.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "qloft/core/checked.h"
#include "qloft/core/error.h"

namespace qloft::plan {
namespace {

void check(const Table& table) {
  if (table.formats.empty()) throw InputError({{}, "candidates"}, "expected formats, found none");
  if (table.matrices.empty()) throw InputError({{}, "matrices"}, "expected matrices, found none");
  if (!table.ranks.empty() && table.ranks.size() != table.formats.size()) {
    throw InputError({{}, "ranks"}, "expected one a format, " +
                                        std::to_string(table.formats.size()) + ", found " +
                                        std::to_string(table.ranks.size()));
  }
  std::map<std::string, int> layers;
  for (const MatrixRow& matrix : table.matrices) {
    if (matrix.rows < 1 || matrix.columns < 1) {
      throw InputError({{}, matrix.name}, "expected a matrix with elements, found an empty one");
    }
    if (matrix.group.empty()) continue;
    const auto [known, added] = layers.emplace(matrix.group, matrix.layer);
    if (!added && known->second != matrix.layer) {
      throw InputError({{}, matrix.name}, "expected the group " + matrix.group + " in one layer");
    }
  }
}

void check_errors(const Table& table) {
  for (const MatrixRow& matrix : table.matrices) {
    if (matrix.errors.size() != table.formats.size()) {
      throw InputError({{}, matrix.name}, "expected " + std::to_string(table.formats.size()) +
                                              " errors, found " +
                                              std::to_string(matrix.errors.size()));
    }
    for (const double error : matrix.errors) {
      if (std::isfinite(error) && error >= 0.0) continue;
      throw InputError({{}, matrix.name},
                       "expected errors of 0 or more, found " + std::to_string(error));
    }
  }
}

std::uint64_t factor_bytes(const Table& table, const MatrixRow& matrix, std::size_t format) {
  if (!matrix.adapted) return 0;
  const double numbers = static_cast<double>(table.rank_of(format)) *
                         static_cast<double>(matrix.rows + matrix.columns);
  return static_cast<std::uint64_t>(std::ceil(numbers * table.factor_bits / 8));
}

// Stored bytes by matrix and format; matrices of one shape are counted once.
std::vector<std::vector<std::uint64_t>> stored_bytes(const Table& table) {
  std::map<std::tuple<std::int64_t, std::int64_t, bool>, std::vector<std::uint64_t>> by_shape;
  std::vector<std::vector<std::uint64_t>> out;
  for (const MatrixRow& matrix : table.matrices) {
    std::vector<std::uint64_t>& bytes = by_shape[{matrix.rows, matrix.columns, matrix.adapted}];
    for (std::size_t f = bytes.size(); f < table.formats.size(); ++f) {
      std::uint64_t sum = factor_bytes(table, matrix, f);
      for (const auto& part : quant::parts(table.formats[f], matrix.rows, matrix.columns)) {
        sum = checked_add(sum, part.bytes, matrix.name);
      }
      bytes.push_back(sum);
    }
    out.push_back(bytes);
  }
  return out;
}

std::vector<int> least_bits(const Table& table, const Constraints& constraints) {
  const auto [first, last] =
      std::ranges::minmax(table.matrices, {}, [](const MatrixRow& m) { return m.layer; });
  std::vector<int> out;
  for (const MatrixRow& matrix : table.matrices) {
    const bool outer = matrix.layer == first.layer || matrix.layer == last.layer;
    out.push_back(outer ? constraints.first_and_last_bits : 0);
  }
  return out;
}

std::vector<Item> items_of(const Table& table, const Constraints& constraints) {
  std::vector<Item> items;
  std::map<std::string, std::size_t> groups;
  for (std::size_t m = 0; m < table.matrices.size(); ++m) {
    const std::string& group = table.matrices[m].group;
    if (constraints.same_in_group && !group.empty()) {
      const auto [known, added] = groups.emplace(group, items.size());
      if (!added) {
        items[known->second].matrices.push_back(m);
        continue;
      }
    }
    items.push_back({{m}, {}});
  }
  return items;
}

// Every format that all matrices of the item may have, with the bytes.
std::vector<Option> allowed(const Problem& problem, const Item& item) {
  std::vector<Option> out;
  for (std::size_t f = 0; f < problem.table.formats.size(); ++f) {
    Option option{.format = f, .bytes = 0, .error = 0};
    bool fits = true;
    for (const std::size_t m : item.matrices) {
      fits = fits && problem.allows(m, f);
      option.bytes += problem.bytes[m][f];
    }
    if (fits) out.push_back(option);
  }
  if (out.empty()) {
    const std::size_t m = item.matrices.front();
    throw InputError({{}, problem.table.matrices[m].name},
                     "expected a candidate of at least " + std::to_string(problem.least_bits[m]) +
                         " bits, found none");
  }
  return out;
}

}  // namespace

Problem shape_of(const Table& table, const Constraints& constraints) {
  check(table);
  Problem problem{.table = table,
                  .bytes = stored_bytes(table),
                  .least_bits = least_bits(table, constraints),
                  .items = items_of(table, constraints)};
  for (const MatrixRow& matrix : table.matrices) {
    const auto rows = static_cast<std::uint64_t>(matrix.rows);
    const auto columns = static_cast<std::uint64_t>(matrix.columns);
    problem.weights = checked_add(problem.weights, rows * columns, "weights");
  }
  return problem;
}

void add_options(Problem& problem) {
  check_errors(problem.table);
  for (Item& item : problem.items) {
    std::vector<Option> all = allowed(problem, item);
    for (Option& option : all) {
      for (const std::size_t m : item.matrices) {
        option.error += problem.table.matrices[m].errors[option.format];
      }
    }
    std::ranges::sort(all, {}, [](const Option& o) { return std::pair(o.bytes, o.error); });
    for (const Option& option : all) {
      if (item.options.empty() || option.error < item.options.back().error) {
        item.options.push_back(option);
      }
    }
  }
}

Range range_of(const Problem& problem) {
  Range range;
  for (const Item& item : problem.items) {
    const std::vector<Option> all = allowed(problem, item);
    const auto [least, most] = std::ranges::minmax(all, {}, &Option::bytes);
    range.least += least.bytes;
    range.most += most.bytes;
  }
  return range;
}

std::uint64_t bytes_of(const Problem& problem, const Choice& choice) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < choice.size(); ++i) sum += problem.items[i].options[choice[i]].bytes;
  return sum;
}

double error_of(const Problem& problem, const Choice& choice) {
  double sum = 0;
  for (std::size_t i = 0; i < choice.size(); ++i) sum += problem.items[i].options[choice[i]].error;
  return sum;
}

std::vector<std::size_t> formats_of(const Problem& problem, const Choice& choice) {
  std::vector<std::size_t> formats(problem.table.matrices.size());
  for (std::size_t i = 0; i < choice.size(); ++i) {
    const Item& item = problem.items[i];
    for (const std::size_t m : item.matrices) formats[m] = item.options[choice[i]].format;
  }
  return formats;
}

}  // namespace qloft::plan
