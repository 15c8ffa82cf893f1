#pragma once
// Files that several rows of a comparison use, each made once: OUTPUT/shared/KIND-HASH.

#include <filesystem>
#include <functional>
#include <string>

#include "compare/recipe.h"
#include "qloft/core/progress.h"
#include "qloft/io.h"
#include "qloft/pipeline/compare.h"

namespace qloft::pipeline::comparison {

// Path, size and time: whether a file is still the same.
io::Json file_identity(const std::filesystem::path& file);
io::Json folder_identity(const std::filesystem::path& folder);

// What the row's statistics, or its plan, depend on; null where it has none.
io::Json statistics_key(const RowPlan& row, const CompareOptions& options);
io::Json plan_key(const RowPlan& row, const CompareOptions& options);

// The file, made now if no row before needed the same.
std::filesystem::path shared_statistics(const RowPlan& row, const CompareOptions& options,
                                        Progress& progress);
std::filesystem::path shared_plan(const RowPlan& row, const CompareOptions& options,
                                  Progress& progress);

}  // namespace qloft::pipeline::comparison
