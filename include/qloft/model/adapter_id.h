#pragma once
#include <cstdint>

namespace qloft::model {

// An adapter that is attached to a model. No torch here.
using AdapterId = std::int32_t;
inline constexpr AdapterId kNoAdapter = -1;

}  // namespace qloft::model
