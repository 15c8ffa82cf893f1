#pragma once
// CRC-32C (Castagnoli, RFC 3720 appendix B.4), and the masked form that record files store.

#include <cstdint>
#include <string_view>

namespace qloft::train {

std::uint32_t crc32c(std::string_view bytes);
// Rotated right by 15 and shifted by a constant, so that a checksum of bytes that hold checksums
// stays good.
std::uint32_t masked_crc32c(std::string_view bytes);

}  // namespace qloft::train
