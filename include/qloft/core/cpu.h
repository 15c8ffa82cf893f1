#pragma once
// Which instruction set the kernels use, chosen once at run time.

#include <cstdint>
#include <string_view>
#include <vector>

namespace qloft {

// Ordered from the plainest to the widest.
// avx2: AVX2, FMA, F16C. avx512: AVX-512 F, BW, VL, DQ, VNNI on top of it.
enum class InstructionSet : std::uint8_t { portable, avx2, avx512 };

std::string_view name(InstructionSet set);

// What this processor and operating system can run, plainest first.
std::vector<InstructionSet> supported_instruction_sets();

// The widest supported set, or the one that the environment variable QLOFT_ISA names ("portable",
// "avx2", "avx512"). Throws InputError where the name is unknown or this machine lacks it.
InstructionSet chosen_instruction_set();

}  // namespace qloft
