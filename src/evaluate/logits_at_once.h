#pragma once

#include <cstdint>

namespace qloft::evaluate {

// Logits of one model held at once: 64 MiB.
inline constexpr std::int64_t kLogitsAtOnce = 1 << 24;

}  // namespace qloft::evaluate
