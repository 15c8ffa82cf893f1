#pragma once
// A student's blocks brought near to its teacher's, one after the other.

#include "load.h"
#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/train.h"

namespace qloft::pipeline {

// Of each block in turn what is trained in it, by train::train with its state in
// options.folder/BLOCK and its logs in options.log_folder/blocks/BLOCK, until the states that it
// makes of what the student's blocks before it made are those of the teacher's block after the
// teacher's own (ApiQ, Liao et al. 2024, arXiv 2402.05147; Block-AP of EfficientQAT, Chen et al.
// 2024, arXiv 2407.11062). The states of all examples before one block, of both models, are held in
// memory. With options.resume blocks that are done are passed through.
//
// Returns the steps, tokens and seconds of all blocks, and the means of their losses. Throws what
// train::train throws.
train::Summary recover_blocks(model::Model& student, model::AdapterId adapter, LoadedModel& teacher,
                              const train::Examples& examples, const train::Options& options,
                              const train::Save& save, Progress& progress);

}  // namespace qloft::pipeline
