#include "qloft/checkpoint/weight_type.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

namespace qloft::checkpoint {
namespace {

struct TypeName {
  ElementType type;
  std::string_view name;
};
constexpr std::array kTypeNames = {TypeName{ElementType::f32, "float32"},
                                   TypeName{ElementType::bf16, "bfloat16"},
                                   TypeName{ElementType::f16, "float16"}};

}  // namespace

bool is_weight_type(ElementType type) {
  return std::ranges::find(kTypeNames, type, &TypeName::type) != kTypeNames.end();
}

std::optional<ElementType> weight_type_from_name(std::string_view name) {
  const auto row = std::ranges::find(kTypeNames, name, &TypeName::name);
  if (row == kTypeNames.end()) return std::nullopt;
  return row->type;
}

std::optional<ElementType> named_weight_type(const io::Json& config) {
  for (const char* field : {"dtype", "torch_dtype"}) {
    const auto found = config.find(field);
    if (found == config.end() || !found->is_string()) continue;
    if (const auto type = weight_type_from_name(found->get_ref<const std::string&>())) return type;
  }
  return std::nullopt;
}

ElementType weight_type(const Checkpoint& source) {
  if (const auto named = named_weight_type(source.config())) return *named;
  std::array<std::int64_t, kTypeNames.size()> elements{};
  for (const std::string& name : source.names()) {
    const io::TensorInfo& info = source.info(name);
    const auto row = std::ranges::find(kTypeNames, info.type, &TypeName::type);
    if (row == kTypeNames.end()) continue;
    elements[static_cast<std::size_t>(row - kTypeNames.begin())] += info.element_count();
  }
  const auto most = std::ranges::max_element(elements);
  return kTypeNames[static_cast<std::size_t>(most - elements.begin())].type;
}

void set_weight_type(io::Json& config, ElementType type) {
  const char* field = config.contains("dtype") ? "dtype" : "torch_dtype";
  config[field] = std::ranges::find(kTypeNames, type, &TypeName::type)->name;
}

}  // namespace qloft::checkpoint
