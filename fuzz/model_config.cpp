// Any JSON is the config.json of a family or an InputError; of its Layout every reference leads to
// a parameter, every shape is one, and the memory of training can be said.

#include <cmath>
#include <nlohmann/json.hpp>

#include "qloft/architecture.h"
#include "qloft/architecture/memory.h"
#include "qloft/core/error.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  try {
    const io::Json json = io::parse_json(fuzz::text(data, size), "input");
    const architecture::Layout layout = architecture::read_layout(json, "input");
    const auto count = static_cast<architecture::ParameterId>(layout.parameters.size());
    for (const architecture::Parameter& parameter : layout.parameters) {
      if (parameter.name.empty() || parameter.shape.empty()) __builtin_trap();
      if (parameter.elements() <= 0) __builtin_trap();
      for (const auto id : {parameter.bias, parameter.input_of, parameter.tied_to}) {
        if (id < architecture::kNoParameter || id >= count) __builtin_trap();
      }
    }
    if (!std::isfinite(architecture::full_training_memory(layout, {}).total())) __builtin_trap();
  } catch (const InputError&) {
  }
  return 0;
}
