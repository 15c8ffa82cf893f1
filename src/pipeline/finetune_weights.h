#pragma once
// The weights that full fine-tuning writes.

#include <filesystem>

#include "qloft/io.h"
#include "qloft/model.h"
#include "qloft/pipeline/finetune.h"

namespace qloft::pipeline {

// The type that the options ask for, or config.json's, or that of the activations.
ElementType save_type(const io::Json& config, const FinetuneOptions& options);

// config.json of weights in this type.
io::Json saved_config(io::Json config, ElementType type);

// Writes all dense weights beside, as checkpoints of this family are published, and moves them into
// `folder` when they are whole.
void write_weights(const model::Model& model, const std::filesystem::path& folder,
                   ElementType type);

}  // namespace qloft::pipeline
