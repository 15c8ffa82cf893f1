#pragma once
// Examples as training sees them, for people.

#include <string>
#include <vector>

#include "qloft/pipeline/finetune.h"

namespace qloft::cli {

// Each token above its id, in lines of at most `width` columns that begin with + where they are
// learned and with - where not; a line ends with the text's own. Spaces are shown as middle dots.
// `colours`: with the escapes of a terminal.
std::string format_example(const pipeline::ShownExample& example, std::size_t width, bool colours);

}  // namespace qloft::cli
