#pragma once
// What the operating system says of this process's memory.

#include <cstdint>

namespace qloft {

// The largest resident set so far, in bytes (VmHWM).
std::uint64_t peak_resident_bytes();
// The resident set now, in bytes (VmRSS).
std::uint64_t resident_bytes();
// The part of the resident set now that no file backs (RssAnon), in bytes: mapped weights, which
// the system may drop at any time, are not in it.
std::uint64_t anonymous_resident_bytes();
// Begins a new maximum for peak_resident_bytes(); false where the system does not allow it.
bool reset_peak_resident_bytes();

}  // namespace qloft
