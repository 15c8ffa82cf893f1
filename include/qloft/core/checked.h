#pragma once
// Integer arithmetic on numbers that came out of files: it throws where it would overflow.

#include <concepts>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "qloft/core/error.h"

namespace qloft {

// a * b; throws InputError naming `what` on overflow.
template <std::integral T>
T checked_multiply(T a, T b, std::string_view what) {
  T result;
  if (__builtin_mul_overflow(a, b, &result)) throw InputError({{}, std::string(what)}, "too large");
  return result;
}

// a + b; throws InputError naming `what` on overflow.
template <std::integral T>
T checked_add(T a, T b, std::string_view what) {
  T result;
  if (__builtin_add_overflow(a, b, &result)) throw InputError({{}, std::string(what)}, "too large");
  return result;
}

// `value` as a To; throws InputError naming `what` if To cannot hold it.
template <std::integral To, std::integral From>
To checked_cast(From value, std::string_view what) {
  if (!std::in_range<To>(value)) throw InputError({{}, std::string(what)}, "out of range");
  return static_cast<To>(value);
}

// The least multiple of `unit` that is at least `value`, divided by `unit`.
template <std::integral T>
constexpr T ceil_divide(T value, T unit) {
  return (value + unit - 1) / unit;
}

template <std::integral T>
constexpr T round_up(T value, T unit) {
  return ceil_divide(value, unit) * unit;
}

}  // namespace qloft
