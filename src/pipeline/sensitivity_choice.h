#pragma once
// What the options of sensitivity come to: the model, and which of its matrices.

#include <vector>

#include "qloft/pipeline/model_options.h"
#include "qloft/pipeline/sensitivity.h"
#include "targets.h"

namespace qloft::pipeline {

ModelOptions model_of(const SensitivityOptions& o);
// Throws InputError for options that are refused whatever the text holds.
void check_sensitivity(const SensitivityOptions& o);
// Those of the targets that are asked for. Throws InputError where there is none.
std::vector<QuantizeTarget> chosen_of(const std::vector<QuantizeTarget>& targets,
                                      const SensitivityOptions& o);

}  // namespace qloft::pipeline
