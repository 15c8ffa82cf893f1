#include "qloft/checkpoint/finite.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/threads.h"

namespace qloft::checkpoint {
namespace {

constexpr std::int64_t kElementsATask = 1 << 20;

// A float is not finite where all bits of its exponent are set, one of 8 bits where all bits are.
template <typename Word>
bool all_finite(std::span<const std::byte> bytes, Word exponent) {
  std::atomic<bool> finite = true;
  const auto count = static_cast<std::int64_t>(bytes.size() / sizeof(Word));
  parallel_for(count, kElementsATask, [&](std::int64_t begin, std::int64_t end) {
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

}  // namespace

bool all_finite(std::span<const std::byte> bytes, ElementType type) {
  switch (type) {
    case ElementType::f32:
      return all_finite<std::uint32_t>(bytes, 0x7f800000);
    case ElementType::bf16:
      return all_finite<std::uint16_t>(bytes, 0x7f80);
    case ElementType::f16:
      return all_finite<std::uint16_t>(bytes, 0x7c00);
    case ElementType::f8:
      return all_finite<std::uint8_t>(bytes, 0x7f);
    default:
      return true;
  }
}

bool all_finite(std::span<const float> values) {
  return all_finite(std::as_bytes(values), ElementType::f32);
}

void expect_finite(const Checkpoint& source) {
  for (const std::string& name : source.names()) {
    if (all_finite(source.bytes(name), source.info(name).type)) continue;
    throw InputError({source.folder(), name}, "expected finite values, found infinity or NaN");
  }
}

}  // namespace qloft::checkpoint
