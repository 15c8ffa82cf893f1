#include "finite.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <span>
#include <string>

#include "qloft/core/threads.h"

namespace qloft::evaluate {
namespace {

// A float is not finite where all bits of its exponent are set.
template <typename Word>
bool all_finite(std::span<const std::byte> bytes, Word exponent) {
  constexpr std::int64_t kGrain = 1 << 20;
  std::atomic<bool> finite = true;
  const auto count = static_cast<std::int64_t>(bytes.size() / sizeof(Word));
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    bool good = true;
    for (std::int64_t i = begin; i < end; ++i) {
      Word word;
      std::memcpy(&word, bytes.data() + static_cast<std::size_t>(i) * sizeof word, sizeof word);
      good &= (word & exponent) != exponent;
    }
    if (!good) finite = false;
  });
  return finite;
}

bool all_finite(std::span<const std::byte> bytes, ElementType type) {
  switch (type) {
    case ElementType::f32:
      return all_finite<std::uint32_t>(bytes, 0x7f800000);
    case ElementType::bf16:
      return all_finite<std::uint16_t>(bytes, 0x7f80);
    case ElementType::f16:
      return all_finite<std::uint16_t>(bytes, 0x7c00);
    default:
      return true;
  }
}

bool all_finite(const Matrix& matrix) {
  return all_finite(std::as_bytes(matrix.values()), ElementType::f32);
}

}  // namespace

void expect_finite_weights(const Subject& subject) {
  const checkpoint::Checkpoint& source = subject.source;
  for (const std::string& name : source.names()) {
    if (all_finite(source.bytes(name), source.info(name).type)) continue;
    throw ComputationError({source.folder(), name}, "holds a value that is not finite");
  }
  for (const std::string& adapter : subject.model.adapters()) {
    for (const auto& [module, factors] : subject.model.extract(adapter).modules) {
      if (all_finite(factors.a) && all_finite(factors.b)) continue;
      throw ComputationError({{}, module}, "its adapter holds a value that is not finite");
    }
  }
}

void expect_finite(double loss, const ErrorLocation& where) {
  if (!std::isfinite(loss)) throw ComputationError(where, "the loss is not finite");
}

}  // namespace qloft::evaluate
