#pragma once
// Pieces of work that run beside each other, each with a share of the threads.

#include <cstdint>
#include <functional>

#include "qloft/core/progress.h"

namespace qloft {

// Runs work(i) once for each i of [0, count), in `teams` threads that share thread_count() among
// them, and finish(i) in the calling thread in the order of i, each after its work(i). Work runs
// ahead of finish by 2 * teams pieces at most. What work(i) throws is thrown in finish(i)'s place;
// after it, and after what finish throws, no further work begins, and what runs is waited for.
// One team: all of it runs in the calling thread.
//
// Where progress asks to stop, work ends at its next parallel_for with Interrupted. Only the
// calling thread asks it.
void side_by_side(std::int64_t count, int teams, const Progress& progress,
                  const std::function<void(std::int64_t)>& work,
                  const std::function<void(std::int64_t)>& finish);

}  // namespace qloft
