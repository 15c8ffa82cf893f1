// Any file is one of statistics or an InputError; what it has of a matrix has the matrix' shape.

#include "qloft/statistics.h"

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  const fuzz::MemoryFile input(fuzz::text(data, size));
  try {
    const statistics::File file(input.path());
    const statistics::Origin& origin = file.origin();
    if (origin.samples < 0 || origin.length < 0 || origin.tokens < 0) __builtin_trap();
    for (const decompose::Metric metric : {decompose::Metric::gram, decompose::Metric::fisher}) {
      try {
        const decompose::Statistics read = file.read("w.weight", "w.weight", 3, 2, metric);
        const bool gram = read.gram.rows() == 2 && read.gram.columns() == 2;
        const bool fisher = read.fisher_rows.size() == 3 && read.fisher_columns.size() == 2;
        if (!(decompose::needs_gram(metric) ? gram : fisher)) __builtin_trap();
      } catch (const InputError&) {
      }
    }
    file.expect_model({"0123456789abcdef", "fedcba9876543210"}, "model");
  } catch (const InputError&) {
  }
  return 0;
}
