#pragma once
// Truncation, and encodings with windows laid side by side.

#include <vector>

#include "qloft/tokenizer/encoding.h"

namespace qloft::tokenizer {

// The first `length` ids (with `left` the last), and windows of as many for what is cut off, each
// with `stride` ids of the one before. Throws InputError where that never ends.
void cut(Encoding& text, std::int64_t length, std::int64_t stride, bool left);

// Cuts one or two texts to `length` ids together. Throws InputError where the text that is to be
// cut is too short for that.
void truncate(std::vector<Encoding>& texts, std::int64_t length, const EncodeOptions& options);

// `more` behind `text`; every window of the one with every window of the other.
void append(Encoding& text, const Encoding& more);

}  // namespace qloft::tokenizer
