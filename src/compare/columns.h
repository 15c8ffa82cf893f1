#pragma once
// The columns and labels of a comparison's data, where its task has none of its own.

#include <vector>

#include "qloft/compare.h"
#include "recipe.h"

namespace qloft::compare {

// Names the labels of a task that has none of its own, and gives the rows that learn it, or are
// calibrated by it, its columns where they name none. Throws InputError where there are no labels.
void settle_columns(TaskSpec& spec, std::vector<RowSpec>& rows, const Options& options);

}  // namespace qloft::compare
