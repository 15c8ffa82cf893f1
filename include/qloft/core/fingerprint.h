#pragma once
// A 64-bit hash of contents, the same on every machine: whether an input is still the one that work
// was begun on. Not against forgery.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qloft {

// Folds one word into the hash, by the finalizer of splitmix64 (Steele et al. 2014).
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  std::uint64_t z = (hash ^ word) + 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
// The length, then the words.
std::uint64_t mix(std::uint64_t hash, std::span<const std::byte> bytes);
std::uint64_t mix(std::uint64_t hash, std::string_view text);

// 16 hexadecimal digits.
std::string hex(std::uint64_t hash);

// Of a file's contents, on all threads. Throws InputError where there is no such file, SystemError
// where it cannot be read.
std::uint64_t fingerprint_of_file(const std::filesystem::path& file);

}  // namespace qloft
