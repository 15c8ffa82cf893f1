#pragma once
// An adapter that changes every linear layer of a model.

#include <cstdint>
#include <utility>

#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "qloft/core/random.h"

namespace qloft::test {

// An adapter on every linear layer, both factors random.
inline adapter::Adapter random_adapter(const architecture::Layout& layout, std::int64_t rank,
                                       std::uint64_t seed, double dropout = 0) {
  adapter::Adapter out;
  out.config.rank = rank;
  out.config.alpha = 2.0 * static_cast<double>(rank);
  out.config.dropout = dropout;
  Random random(seed);
  for (const architecture::ParameterId id : architecture::linear_layers(layout)) {
    const architecture::Parameter& linear = layout.parameter(id);
    adapter::Factors factors{Matrix(rank, linear.columns()), Matrix(linear.rows(), rank)};
    random.fill_normal(factors.a.values(), 0.f, 0.1f);
    random.fill_normal(factors.b.values(), 0.f, 0.1f);
    out.modules[linear.module()] = std::move(factors);
  }
  return out;
}

}  // namespace qloft::test
