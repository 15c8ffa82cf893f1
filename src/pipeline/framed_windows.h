#pragma once
// A text as a model reads it that goes on from no text of its own.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "load.h"
#include "qloft/data.h"

namespace qloft::pipeline {

// Windows of `length` tokens with those that the tokenizer adds around each, which do not count;
// the last one is left out where it is shorter than the others. Throws InputError for an id that
// the model has not.
std::vector<data::Example> framed_windows(const std::filesystem::path& file, std::int64_t length,
                                          const ModelInputs& model);

}  // namespace qloft::pipeline
