#pragma once
// A random generator whose numbers are the same on every machine and compiler
// (the standard library's distributions are not).

#include <array>
#include <cstdint>
#include <span>

namespace qloft {

// xoshiro256** (Blackman & Vigna 2018), seeded through splitmix64. A value: copy it to fork it;
// `state()` and `set_state()` save and resume it to the same bits.
class Random {
 public:
  using State = std::array<std::uint64_t, 4>;

  // Different streams of one seed are independent, so parallel work stays reproducible.
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0);

  std::uint64_t next();
  // Uniform in [0, 1), 53 bits.
  double uniform();
  // Uniform in {0, ..., bound - 1}, without bias; bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Standard normal by Box-Muller: two uniforms a call, nothing kept back.
  double normal();
  void fill_normal(std::span<float> out, float mean = 0.f, float deviation = 1.f);

  // Fisher-Yates.
  template <typename T>
  void shuffle(std::span<T> values) {
    for (std::size_t i = values.size(); i > 1; --i) {
      std::swap(values[i - 1], values[static_cast<std::size_t>(below(i))]);
    }
  }

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  State state_;
};

}  // namespace qloft
