#pragma once
// The statistics file beside a model, and what it says of one matrix.

#include <filesystem>
#include <optional>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/decompose.h"
#include "qloft/quantized/model_files.h"
#include "qloft/statistics.h"
#include "targets.h"

namespace qloft::pipeline {

statistics::Identity identity_of(const quantized::ModelFiles& files);

// Empty where the metric needs no statistics. Throws InputError where it needs some and `file` is
// empty, or of another model.
std::optional<statistics::File> open_statistics(const std::filesystem::path& file,
                                                decompose::Metric metric,
                                                const quantized::ModelFiles& files);

// One warning where no sequence reached some of these matrices.
void say_what_is_unreached(const std::optional<statistics::File>& file,
                           const std::vector<QuantizeTarget>& targets, decompose::Metric metric,
                           Progress& progress);

// What recipe.metric needs for this matrix. Of the embedding, which nothing is multiplied by,
// nothing is known: the recipe is changed to nearest codes under the Frobenius norm.
decompose::Statistics statistics_of(const std::optional<statistics::File>& file,
                                    const QuantizeTarget& target, decompose::Recipe& recipe);

// Throws the error that is being handled again, with the model's folder and the matrix's name.
[[noreturn]] void rethrow_naming(const QuantizeTarget& target, const quantized::ModelFiles& files);

}  // namespace qloft::pipeline
