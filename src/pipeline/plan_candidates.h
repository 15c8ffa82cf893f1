#pragma once
// The formats that a plan chooses among.

#include <cstdint>
#include <string>
#include <vector>

#include "qloft/architecture.h"
#include "qloft/plan.h"
#include "qloft/quant.h"
#include "targets.h"

namespace qloft::pipeline {

// Of a name of plan::candidate_sets, or a JSON file: an array of formats as in quantization_config.
std::vector<quant::Format> candidates_of(const std::string& text);

// What a plan may give a matrix: each of the formats, beside each of the ranks where they are
// planned, whose factors take `factor_bits` a number.
struct Candidates {
  std::vector<quant::Format> formats;
  std::vector<std::int64_t> ranks = {};
  double factor_bits = 0;
};

// The targets with these candidates, those of a format together, without errors.
plan::Table table_of(const std::vector<QuantizeTarget>& targets, const architecture::Layout& layout,
                     const Candidates& candidates);

// Of the formats those of two code widths: the largest that all matrices can have within `budget`
// bytes, beside the smallest rank where ranks are planned, else the smallest there is, and the next
// one.
std::vector<quant::Format> adjacent_formats(const std::vector<QuantizeTarget>& targets,
                                            const architecture::Layout& layout,
                                            const Candidates& candidates, std::uint64_t budget);

}  // namespace qloft::pipeline
