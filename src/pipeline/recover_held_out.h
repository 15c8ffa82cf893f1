#pragma once
// What recovery won, on sequences that it did not learn.

#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/pipeline/recover.h"
#include "qloft/train.h"
#include "recover_inputs.h"

namespace qloft::pipeline {

// The mean loss a prediction of the sequences of `inputs` that are held out; there must be some.
// Leaves the model out of training mode. Throws Interrupted where progress asks to stop.
double held_out_loss(model::Model& model, model::AdapterId adapter, const RecoverInputs& inputs,
                     const train::Objective& objective, Progress& progress);

// Warns where the report's sequences are farther from the teacher than before, notes where they are
// within a hundredth of where they were.
void warn_where_nothing_was_won(const RecoverReport& report, double learning_rate,
                                Progress& progress);

}  // namespace qloft::pipeline
