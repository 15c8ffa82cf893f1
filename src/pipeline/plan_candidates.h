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

// The targets with these formats, without errors.
plan::Table table_of(const std::vector<QuantizeTarget>& targets, const architecture::Layout& layout,
                     const std::vector<quant::Format>& formats);

// Of the table's formats those of two code widths: the largest that all matrices can have within
// `budget` bytes, else the smallest there is, and the next one.
std::vector<quant::Format> adjacent_formats(const plan::Table& table, std::uint64_t budget);

}  // namespace qloft::pipeline
