#pragma once
// Which of the options that leave something to quantize fit each other.

#include <string_view>

#include "qloft/pipeline/quantize.h"

namespace qloft::pipeline {

inline constexpr std::string_view kAuto = "auto";

// Whether sequences are taken through the model.
inline bool calibrates(const QuantizeOptions& o) {
  return !o.data.empty() || o.random_tokens;
}

// Throws InputError at the option that does not fit, or at a file of data that is not there.
void check_automatic(const QuantizeOptions& options);

}  // namespace qloft::pipeline
