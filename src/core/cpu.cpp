#include "qloft/core/cpu.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "qloft/core/bf16_units.h"
#include "qloft/core/error.h"

namespace qloft {
namespace {

constexpr std::array kNames = {std::string_view("portable"), std::string_view("avx2"),
                               std::string_view("avx512")};

InstructionSet choose() {
  const auto supported = supported_instruction_sets();
  const char* forced = std::getenv("QLOFT_ISA");
  if (forced == nullptr || *forced == '\0') return supported.back();
  const auto found = std::find(kNames.begin(), kNames.end(), std::string_view(forced));
  if (found == kNames.end()) {
    throw InputError({{}, "QLOFT_ISA"},
                     "expected portable, avx2 or avx512, found '" + std::string(forced) + "'");
  }
  const auto set = static_cast<InstructionSet>(found - kNames.begin());
  if (std::find(supported.begin(), supported.end(), set) == supported.end()) {
    throw InputError({{}, "QLOFT_ISA"}, "this processor has no " + std::string(forced));
  }
  return set;
}

}  // namespace

std::string_view name(InstructionSet set) {
  return kNames[static_cast<std::size_t>(set)];
}

std::vector<InstructionSet> supported_instruction_sets() {
  std::vector<InstructionSet> sets = {InstructionSet::portable};
#if defined(__x86_64__)
  __builtin_cpu_init();
#if defined(__clang__)  // does not know the name; processors with AVX2 have it
  const bool f16c = true;
#else
  const bool f16c = __builtin_cpu_supports("f16c");
#endif
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && f16c) {
    sets.push_back(InstructionSet::avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni")) {
      sets.push_back(InstructionSet::avx512);
    }
  }
#endif
  return sets;
}

InstructionSet chosen_instruction_set() {
  static const InstructionSet set = choose();
  return set;
}

bool has_bf16_units() {
  if (chosen_instruction_set() != InstructionSet::avx512) return false;
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16");  // processors with AMX have it, too
#else
  return false;
#endif
}

}  // namespace qloft
