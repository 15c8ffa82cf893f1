// Any bytes are a template that renders, or an InputError; rendering twice gives the same.

#include "qloft/chat_template.h"

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "qloft/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  // What the clock says may change between two renderings.
  const bool timed = source.find("strftime") != std::string_view::npos;
  static const io::Json variables = io::Json::parse(R"({
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi \u00e9"},
                 {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": [1, true, null]}}}],
    "n": 3, "add_generation_prompt": true})");
  try {
    const chat_template::ChatTemplate chat(source, "<s>", "</s>");
    const chat_template::Rendering first = chat.render_marked(variables);
    const chat_template::Rendering second = chat.render_marked(variables);
    if (!timed && (first.text != second.text || first.generated != second.generated)) {
      __builtin_trap();
    }
  } catch (const InputError&) {
  }
  return 0;
}
