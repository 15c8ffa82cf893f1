#pragma once
// Files that several rows of a comparison use, each made once: OUTPUT/shared/KIND-HASH.

#include <filesystem>
#include <functional>
#include <string>

#include "qloft/compare.h"
#include "qloft/core/progress.h"
#include "qloft/io.h"
#include "recipe.h"

namespace qloft::compare {

// Fingerprints of the contents of what rows read; empty: not given.
struct Inputs {
  std::string model, text, train, test, choices, calibration;
};
Inputs inputs_of(const Options& options);

// What the row's statistics, or its plan, depend on; null where it has none.
io::Json statistics_key(const RowSpec& row, const Inputs& inputs);
io::Json plan_key(const RowSpec& row, const Inputs& inputs);

// The file, made now if no row before needed the same.
std::filesystem::path shared_statistics(const RowSpec& row, const Options& options,
                                        const Inputs& inputs, Progress& progress);
std::filesystem::path shared_plan(const RowSpec& row, const Options& options, const Inputs& inputs,
                                  Progress& progress);

}  // namespace qloft::compare
