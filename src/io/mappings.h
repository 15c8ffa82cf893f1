#pragma once
// The open mappings, in a table that a signal handler may read.

#include <cstddef>
#include <filesystem>
#include <span>

namespace qloft::io {

// Beyond a few hundred open mappings the others are not known by name.
void remember_mapping(std::span<const std::byte> bytes, const std::filesystem::path& path);
void forget_mapping(std::span<const std::byte> bytes);

}  // namespace qloft::io
