#pragma once

#include <cstddef>
#include <span>

#include "qloft/core/element.h"

namespace qloft::checkpoint {

class Checkpoint;

// Whether all elements are finite; true for types of whole numbers.
bool all_finite(std::span<const std::byte> bytes, ElementType type);
bool all_finite(std::span<const float> values);

// Throws InputError naming folder and tensor where one of a checkpoint's values is not finite.
void expect_finite(const Checkpoint& source);

}  // namespace qloft::checkpoint
