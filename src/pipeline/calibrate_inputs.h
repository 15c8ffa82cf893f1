#pragma once
// The sequences that calibrate takes through a model.

#include <string>
#include <vector>

#include "load.h"
#include "qloft/data.h"
#include "qloft/data/omissions.h"
#include "qloft/pipeline/calibrate.h"

namespace qloft::pipeline {

// Those that the options draw: windows of a text, or examples of a file of rows, of which
// `omissions` learns what was cut off or left out. Throws InputError for a text of fewer tokens
// than one window, and as the readers do.
std::vector<data::Example> draw(const CalibrateOptions& options, const ModelInputs& model,
                                data::Omissions& omissions);

// Sequences of tokens of the vocabulary but the special ones, drawn with equal chances.
std::vector<data::Example> random_examples(const ModelInputs& model, std::int64_t samples,
                                           std::int64_t length, std::uint64_t seed);

// One warning where there are fewer tokens than a matrix has columns.
void say_where_tokens_are_few(const architecture::Layout& layout, std::int64_t tokens,
                              Progress& progress);

// Of what the sequences hold, whatever text and tokenizer gave it.
std::string fingerprint_of(const std::vector<data::Example>& examples);

}  // namespace qloft::pipeline
