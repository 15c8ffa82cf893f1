// Any file is a plan or an InputError; of one that fits the model every matrix has a format that
// can be stored.

#include <nlohmann/json.hpp>

#include "plan_file.h"
#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  static const architecture::Layout layout = architecture::read_layout(io::Json::parse(R"({
      "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
      "num_attention_heads": 2, "vocab_size": 8})"),
                                                                       "config.json");
  const fuzz::MemoryFile input(fuzz::text(data, size));
  try {
    const pipeline::PlanFile plan = pipeline::read_plan(input.path());
    for (const auto& target : pipeline::targets_of(plan, input.path(), layout)) {
      if (!(target.format.bits_per_weight(target.rows, target.columns) > 0)) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  return 0;
}
