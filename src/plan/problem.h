#pragma once
// The integer program that the strategies solve.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "qloft/plan.h"

namespace qloft::plan {

// One format for the matrices of an item: stored bytes and error, summed over them.
struct Option {
  std::size_t format = 0;
  std::uint64_t bytes = 0;
  double error = 0;
};

// Matrices that take one format together. The options are those that are not dominated: bytes rise
// and errors fall strictly.
struct Item {
  std::vector<std::size_t> matrices;
  std::vector<Option> options;
};

struct Problem {
  const Table& table;
  std::vector<std::vector<std::uint64_t>> bytes;  // [matrix][format]
  std::vector<int> least_bits;                    // of a code, by matrix
  std::vector<Item> items;
  std::uint64_t budget = 0;
  double time_limit = 0;
  std::uint64_t weights = 0;

  bool allows(std::size_t matrix, std::size_t format) const {
    const MatrixRow& m = table.matrices[matrix];
    return table.formats[format].bits >= least_bits[matrix] &&
           (!m.adapted || table.rank_of(format) <= std::min(m.rows, m.columns));
  }
  // Mean stored bits of a weight.
  double bits(std::uint64_t stored_bytes) const {
    return 8.0 * static_cast<double>(stored_bytes) / static_cast<double>(weights);
  }
};

// Checks the table but for its errors; without options and a budget.
Problem shape_of(const Table& table, const Constraints& constraints);
// Of every item, once the errors are checked too.
void add_options(Problem& problem);
Range range_of(const Problem& problem);

// A choice of one option an item, and the same as a format a matrix.
using Choice = std::vector<std::size_t>;
std::uint64_t bytes_of(const Problem& problem, const Choice& choice);
double error_of(const Problem& problem, const Choice& choice);
std::vector<std::size_t> formats_of(const Problem& problem, const Choice& choice);

// "2.251 bits per weight", for messages.
std::string shown_bits(double bits);

}  // namespace qloft::plan
