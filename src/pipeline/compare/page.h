#pragma once
// The report of a comparison as one HTML page that needs nothing beside itself.

#include <string>
#include <vector>

#include "compare/plots.h"
#include "qloft/io.h"
#include "qloft/pipeline/compare.h"

namespace qloft::pipeline::comparison {

// `recipe`: as it was run, shown at the foot.
std::string page(const CompareReport& report, const std::vector<DrawnPlot>& plots,
                 const io::Json& recipe);

}  // namespace qloft::pipeline::comparison
