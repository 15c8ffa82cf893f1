#pragma once
// What losses that hold a model against a teacher share.

#include <cstdint>

#include "qloft/model.h"

namespace qloft::objectives {

// Logits held at once: 64 MiB.
inline constexpr std::int64_t kLogitsAtOnce = 1 << 24;

// Throws InputError for another number of rows, or an id that is none of the vocabulary's.
void expect_rows(const model::TeacherRows& teacher, std::int64_t count, std::int64_t vocabulary);

}  // namespace qloft::objectives
