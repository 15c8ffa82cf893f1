#pragma once
#include "qloft/generate.h"

namespace qloft::generate {

// Throws InputError for an encoder-decoder's request without a source, another model's with one,
// and a source with unknown ids or more of them than the model has positions.
void check_source(const Request& request, const architecture::Layout& layout);

}  // namespace qloft::generate
