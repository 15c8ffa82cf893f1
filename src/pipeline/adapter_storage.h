#pragma once
// In what an initial adapter is stored: the option --adapter-dtype of plan and quantize.

#include <optional>
#include <string>

#include "qloft/core/element.h"

namespace qloft::checkpoint {
class Checkpoint;
}

namespace qloft::pipeline {

// "bf16"; of i8 "nf8".
std::string adapter_storage_name(ElementType type);

// f32, bf16, f16, f8 or i8 (nf8); empty for auto. Throws InputError for another name.
std::optional<ElementType> asked_adapter_storage(const std::string& asked);

// auto: bf16 where `model` is stored in 16 bits, whose rounding is that of its own weights, else
// f32.
ElementType adapter_storage(const std::string& asked, const checkpoint::Checkpoint& model);

}  // namespace qloft::pipeline
