#pragma once
// The element type of a model's weights.

#include <optional>
#include <string_view>

#include "qloft/checkpoint.h"

namespace qloft::checkpoint {

// f32, f16 or bf16: what weights are computed from.
bool is_weight_type(ElementType type);
// By its name in a config.json ("bfloat16"); empty for another.
std::optional<ElementType> weight_type_from_name(std::string_view name);
// What config.json names ("dtype", "torch_dtype" in older files); empty where it names none of F32,
// F16 and BF16.
std::optional<ElementType> named_weight_type(const io::Json& config);
// The same, or the type of most of the stored elements where it names none.
ElementType weight_type(const Checkpoint& source);
// Names `type` in a config.json, under the name that it uses already.
void set_weight_type(io::Json& config, ElementType type);

}  // namespace qloft::checkpoint
