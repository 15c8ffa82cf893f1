#pragma once
// The header of a .safetensors file: 8 bytes of length (little-endian), then that many bytes of
// JSON, then the data section that the tensors tile without a gap.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/io.h"

namespace qloft::io {

// The reference implementation's limit.
inline constexpr std::uint64_t kMaximumHeaderBytes = 100'000'000;

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in file order
  std::map<std::string, std::string> metadata;
};

// Reads the JSON of a header and holds every number against `data_bytes`, the size of the data
// section. Throws InputError naming `file` and the tensor.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           const std::filesystem::path& file);

// Gives each tensor its offset, larger element types first (stable), so that every tensor is
// aligned to its type; returns the size of the data section. Throws Error on a duplicate name.
std::uint64_t assign_offsets(std::vector<TensorInfo>& tensors, const std::filesystem::path& file);

// Length and JSON, padded with spaces to a multiple of 8 bytes.
std::string make_safetensors_header(const SafetensorsHeader& header);

}  // namespace qloft::io
