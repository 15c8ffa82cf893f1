#pragma once
// The file that plan writes and quantize reads (docs/formats.md).

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "qloft/io.h"
#include "qloft/quant.h"
#include "targets.h"

namespace qloft::pipeline {

struct PlanFile {
  std::vector<std::string> target_modules;        // as quantize's option
  std::map<std::string, quant::Format> matrices;  // by weight name
  std::map<std::string, std::int64_t> ranks;      // likewise; empty: they are not planned
};

// The members "target_modules", "formats" and "matrices", and "ranks" where targets have their own.
// Equal formats are written once, under their description, and referred to by it. `targets` have
// their formats.
void add_formats(const std::vector<std::string>& target_modules,
                 const std::vector<QuantizeTarget>& targets, io::Json& json);

// Throws InputError naming the field that is missing, of another type or out of range, and a format
// that a matrix refers to and that is not there.
PlanFile read_plan(const std::filesystem::path& file);

// The model's matrices with the plan's formats and ranks. Throws InputError naming a matrix that
// the model lacks, or those that the plan lacks.
std::vector<QuantizeTarget> targets_of(const PlanFile& plan, const std::filesystem::path& file,
                                       const architecture::Layout& layout);

}  // namespace qloft::pipeline
