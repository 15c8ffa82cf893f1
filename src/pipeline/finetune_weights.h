#pragma once
// The weights that full fine-tuning writes.

#include <filesystem>

#include "qloft/checkpoint.h"
#include "qloft/model.h"
#include "qloft/pipeline/finetune.h"

namespace qloft::pipeline {

// Throws InputError at save_dtype for a name that is none of a type of weights.
ElementType weight_type_named(const std::string& name);

// The type that the options ask for, or that of the weights that are trained; random ones (`source`
// null) have that which config.json names, or that of the activations.
ElementType save_type(const checkpoint::Checkpoint* source, const io::Json& config,
                      const FinetuneOptions& options);

// Writes all dense weights beside, as checkpoints of this family are published, and moves them into
// `folder` when they are whole.
void write_weights(const model::Model& model, const std::filesystem::path& folder,
                   ElementType type);

}  // namespace qloft::pipeline
