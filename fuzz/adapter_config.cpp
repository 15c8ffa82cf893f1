// Any JSON is an adapter's configuration or an InputError; what is one is the same after it was
// written and read again.

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "config.h"
#include "qloft/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  const std::vector<std::string> modules = {"lm_head", "model.layers.0.self_attn.q_proj",
                                            "model.layers.1.mlp.down_proj"};
  const architecture::Layout layout;  // of a model without a head of its own
  adapter::Config first;
  try {
    const io::Json json =
        io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "input");
    first = adapter::config_from_json(json, "input", modules, layout);
  } catch (const InputError&) {
    return 0;
  }
  const adapter::Config second = adapter::config_from_json(
      adapter::config_to_json(first, modules, {}, {}, layout.head.kind), "again", modules, layout);
  for (const std::string& module : modules) {
    if (first.rank_of(module) != second.rank_of(module)) __builtin_trap();
    if (first.scale_of(module) != second.scale_of(module)) __builtin_trap();
  }
  return 0;
}
