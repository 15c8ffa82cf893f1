#pragma once
// The strategies. Each is a file with one function, and one row of the table in allocate.cpp.

#include <cstddef>
#include <vector>

#include "problem.h"

namespace qloft::plan {

// The formats, and a bound that holds; `bound` comes in as the relaxation's.
using Choose = std::vector<std::size_t> (*)(const Problem& problem, double& bound);
std::vector<std::size_t> choose_ilp(const Problem& problem, double& bound);
std::vector<std::size_t> choose_greedy(const Problem& problem, double& bound);
std::vector<std::size_t> choose_first_layers(const Problem& problem, double& bound);
std::vector<std::size_t> choose_uniform(const Problem& problem, double& bound);

}  // namespace qloft::plan
