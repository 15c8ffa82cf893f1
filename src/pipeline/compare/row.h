#pragma once
// One row of a comparison: what it depends on, what quantize and finetune would refuse, its run.

#include "compare/recipe.h"
#include "qloft/core/progress.h"
#include "qloft/io.h"
#include "qloft/pipeline/compare.h"

namespace qloft::pipeline::comparison {

// Everything that the row's figures depend on: options, and the identity of model and data.
io::Json row_key(const RowPlan& row, const Tasks& tasks, const CompareOptions& options);

// Throws InputError naming the recipe and the row for what quantize or finetune refuses before they
// begin.
void check_row(const RowPlan& row, const CompareOptions& options);

// Quantizes, measures, tunes, measures again; the models stand in a folder of the row meanwhile.
CompareRow run_row(const RowPlan& row, const Tasks& tasks, const CompareOptions& options,
                   Progress& progress);

}  // namespace qloft::pipeline::comparison
