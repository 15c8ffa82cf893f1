// The choice for the shape of Llama 2 70B, 560 matrices x 432 candidates (LQ-LoRA's grid), with
// errors as NF leaves them: a share of the matrix's squared norm that depends on bits, block and
// the second level, and a norm that changes along the layers.

#include <benchmark/benchmark.h>

#include <cmath>

#include "qloft/core/random.h"
#include "qloft/plan.h"

namespace {

using namespace qloft;

plan::Table llama_70b() {
  plan::Table table{plan::candidate_sets().front().formats, {}};
  struct Shape {
    const char* name;
    std::int64_t rows, columns;
  };
  constexpr Shape kShapes[] = {{"q_proj", 8192, 8192},     {"k_proj", 1024, 8192},
                               {"v_proj", 1024, 8192},     {"o_proj", 8192, 8192},
                               {"gate_proj", 28672, 8192}, {"up_proj", 28672, 8192},
                               {"down_proj", 8192, 28672}};
  Random random(1);
  for (int layer = 0; layer < 80; ++layer) {
    for (const Shape& shape : kShapes) {
      plan::MatrixRow matrix{.name = std::to_string(layer) + "." + shape.name,
                             .rows = shape.rows,
                             .columns = shape.columns,
                             .layer = layer,
                             .group = {},
                             .errors = {}};
      const double deviation = 0.02 * (1.0 + 0.5 * layer / 80.0) * std::exp(0.2 * random.normal());
      const double norm = deviation * deviation * static_cast<double>(shape.rows) *
                          static_cast<double>(shape.columns);
      for (const quant::Format& format : table.formats) {
        const double code = 1.3 * std::pow(4.0, -format.bits) *
                            (1.0 + 0.12 * std::log2(static_cast<double>(format.block) / 16.0));
        const quant::SecondLevel& second = *format.second_level;
        const double scales = 0.02 * std::pow(4.0, -second.bits) *
                              (1.0 + 0.1 * std::log2(static_cast<double>(second.block) / 16.0));
        const double rounding = second.type == ElementType::bf16 ? 1e-6 : 0.0;
        matrix.errors.push_back(norm * (code + scales + rounding) *
                                std::exp(0.01 * random.normal()));
      }
      table.matrices.push_back(matrix);
    }
  }
  return table;
}

// Arguments: strategy, hundredths of a bit per weight.
void allocate(benchmark::State& state) {
  const plan::Table table = llama_70b();
  const auto strategy = static_cast<plan::Strategy>(state.range(0));
  const std::uint64_t budget = plan::budget_of(table, static_cast<double>(state.range(1)) / 100.0);
  plan::Allocation found;
  for (auto _ : state) found = plan::allocate(table, budget, strategy);
  state.counters["gap"] = found.gap;
  state.counters["bits"] = found.bits_per_weight;
  state.counters["objective"] = found.objective;
  state.counters["choices"] = static_cast<double>(found.choices);
  state.SetLabel(std::string(plan::name(strategy)));
}
BENCHMARK(allocate)
    ->ArgNames({"strategy", "centibits"})
    ->ArgsProduct({{0, 1, 2, 3}, {250, 275, 325, 425}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
