#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qloft::cli {

// The known word nearest to `word` by edits (Damerau-Levenshtein), or an empty string where none is
// near enough to be what was meant.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace qloft::cli
