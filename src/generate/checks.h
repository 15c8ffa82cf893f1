#pragma once
// Complaints about options.

#include <cstdint>
#include <string>

#include "qloft/core/error.h"

namespace qloft::generate {

inline void check(bool ok, const char* field, const char* expected, double found) {
  if (ok) return;
  throw InputError({{}, field},
                   std::string("expected ") + expected + ", found " + std::to_string(found));
}

inline void check_least(std::int64_t value, std::int64_t least, const char* field) {
  if (value >= least) return;
  throw InputError({{}, field}, "expected " + std::to_string(least) + " or more, found " +
                                    std::to_string(value));
}

}  // namespace qloft::generate
