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

// Path, size and time: whether a file is still the same.
io::Json file_identity(const std::filesystem::path& file);
io::Json folder_identity(const std::filesystem::path& folder);

// What the row's statistics, or its plan, depend on; null where it has none.
io::Json statistics_key(const RowSpec& row, const Options& options);
io::Json plan_key(const RowSpec& row, const Options& options);

// The file, made now if no row before needed the same.
std::filesystem::path shared_statistics(const RowSpec& row, const Options& options,
                                        Progress& progress);
std::filesystem::path shared_plan(const RowSpec& row, const Options& options, Progress& progress);

}  // namespace qloft::compare
