#pragma once
// The text that sensitivity measures a model on.

#include <ATen/core/Tensor.h>

#include <string>

#include "load.h"
#include "qloft/pipeline/sensitivity.h"

namespace qloft::pipeline {

struct MeasuredText {
  // int64 [windows, window]: the first windows of the text. Of an encoder-decoder what the decoder
  // reads of every second one, behind its start token, and the sources, each the window before.
  at::Tensor ids, sources;
  std::string fingerprint;  // of both
};

// Throws InputError for a text without one window, or without a source and a target.
MeasuredText read_measured_text(const SensitivityOptions& options, const ModelInputs& model);

}  // namespace qloft::pipeline
