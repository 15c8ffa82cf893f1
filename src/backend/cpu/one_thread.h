#pragma once
// Torch's operators inside a task of core's threads.

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>

#include "qloft/core/threads.h"

namespace qloft::backend {

// body(begin, count) over [0, extent), at most `slice` at once, in parallel; what torch does inside
// stays on that one thread and without gradients.
template <typename Body>
void for_slices(std::int64_t extent, std::int64_t slice, const Body& body) {
  parallel_for(extent, slice, [&](std::int64_t begin, std::int64_t end) {
    at::init_num_threads();  // torch's setting, which a new thread does not have
    const at::NoGradGuard no_grad;
    body(begin, end - begin);
  });
}

}  // namespace qloft::backend
