#pragma once
// The adapter that finetune begins with.

#include "load.h"
#include "qloft/adapter.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/quantized/model_files.h"

namespace qloft::pipeline {

// How the one that is continued is found.
ModelOptions adapter_options(const FinetuneOptions& options);

// A random, B zero; throws InputError for target modules or a rank that cannot be.
adapter::Adapter fresh_adapter(const architecture::Layout& layout, const FinetuneOptions& options);

// The one that is continued, else a fresh one. Throws InputError where it and the options disagree.
adapter::Adapter first_adapter(const quantized::ModelFiles& files, const FinetuneOptions& options);

}  // namespace qloft::pipeline
