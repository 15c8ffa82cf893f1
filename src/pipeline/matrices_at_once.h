#pragma once
// How many matrices are decomposed side by side.

#include <vector>

#include "qloft/decompose.h"
#include "targets.h"

namespace qloft::pipeline {

// Each has serial parts, so that as many as fit into 768 MB of working memory are faster together
// than one after the other; each gets the same share of thread_count(). At least 1.
int matrices_at_once(const std::vector<const QuantizeTarget*>& targets,
                     const decompose::Recipe& recipe);

}  // namespace qloft::pipeline
