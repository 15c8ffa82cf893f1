#include "adapter_storage.h"

#include "option_values.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/checkpoint/weight_type.h"

namespace qloft::pipeline {

std::string adapter_storage_name(ElementType type) {
  return type == ElementType::i8 ? "nf8" : std::string(short_name(type));
}

std::optional<ElementType> asked_adapter_storage(const std::string& asked) {
  if (asked == "auto") return std::nullopt;
  return named(asked, "adapter_dtype", adapter::storage_from_name,
               {"auto", "f32", "bf16", "f16", "f8", "nf8"});
}

ElementType adapter_storage(const std::string& asked, const checkpoint::Checkpoint& model) {
  if (const auto type = asked_adapter_storage(asked)) return *type;
  return byte_size(checkpoint::weight_type(model)) == 2 ? ElementType::bf16 : ElementType::f32;
}

}  // namespace qloft::pipeline
