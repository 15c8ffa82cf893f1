#pragma once
// The report of a comparison as one HTML page that needs nothing beside itself.

#include <string>
#include <vector>

#include "plots.h"
#include "qloft/compare.h"
#include "qloft/io.h"

namespace qloft::compare {

// `recipe`: as it was run, shown at the foot.
std::string page(const Report& report, const std::vector<DrawnPlot>& plots, const io::Json& recipe);

}  // namespace qloft::compare
