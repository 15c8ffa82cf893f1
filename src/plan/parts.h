#pragma once
// What the strategies work on. Each is one file with a function, and one row in allocate.cpp.

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
    return table.formats[format].bits >= least_bits[matrix];
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

// Moves within one item to an option of smaller error: from one corner of the lower convex hull of
// its (bytes, error) to the next.
struct Step {
  std::size_t item = 0;
  std::size_t from = 0;
  std::size_t to = 0;
  std::uint64_t bytes = 0;  // more
  double gain = 0;          // less error
};
// Of all items, by falling gain a byte; those of one item in order. Taken in turn from the smallest
// options on, the last in part, they solve the problem without its integrality (Sinha & Zoltners
// 1979).
std::vector<Step> steps_of(const Problem& problem);
struct Relaxation {
  double bound = 0;  // its least error
  double price = 0;  // error that one byte more would save
};
Relaxation relax(const Problem& problem, const std::vector<Step>& steps);
// The greedy choice: each step that fits, then whatever single change still lowers the error most.
Choice greedy_choice(const Problem& problem, const std::vector<Step>& steps);

// The formats, and a bound that holds; `bound` comes in as the relaxation's.
using StrategyPart = std::vector<std::size_t> (*)(const Problem& problem, double& bound);
std::vector<std::size_t> choose_ilp(const Problem& problem, double& bound);
std::vector<std::size_t> choose_greedy(const Problem& problem, double& bound);
std::vector<std::size_t> choose_first_layers(const Problem& problem, double& bound);
std::vector<std::size_t> choose_uniform(const Problem& problem, double& bound);

// "2.251 bits per weight", for messages.
std::string shown_bits(double bits);

}  // namespace qloft::plan
