#pragma once
// Where tensors on the CPU have their memory from.

namespace qloft::backend {

// From here on tensors of 4 MiB and more come from a BlockPool: what a step frees the next one
// takes up, and the process holds no more than it used at once. To be called before tensors are
// made, once.
void keep_freed_tensors();
// Gives back to the system what no tensor uses. Does nothing where they are not kept.
void return_freed_tensors();

}  // namespace qloft::backend
