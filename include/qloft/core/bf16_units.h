#pragma once

namespace qloft {

// Whether this processor multiplies in bf16 by itself (AVX-512 BF16 or AMX) and QLOFT_ISA leaves it
// AVX-512: elsewhere bf16 saves memory, not time.
bool has_bf16_units();

}  // namespace qloft
