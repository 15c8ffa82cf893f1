#pragma once
// Memory that was freed and that the process still holds.

namespace qloft {

// Gives it back to the system, so that a peak that is counted from here on holds none of it. Does
// nothing where the C library has no way to.
void return_freed_memory();

}  // namespace qloft
