#pragma once
// A width in bits as a constant: what kernels are compiled for.

#include <type_traits>

namespace qloft::kernels {

// f(std::integral_constant<int, bits>()) for bits from 1 to kLargest; larger ones count as
// kLargest.
template <int kLargest = 8, typename F>
decltype(auto) with_width(int bits, const F& f) {
  if constexpr (kLargest > 1) {
    if (bits < kLargest) return with_width<kLargest - 1>(bits, f);
  }
  return f(std::integral_constant<int, kLargest>());
}

}  // namespace qloft::kernels
