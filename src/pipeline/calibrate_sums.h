#pragma once
// What an interrupted calibrate run has summed up.

#include <cstdint>
#include <filesystem>

#include "qloft/architecture.h"
#include "qloft/calibrate.h"

namespace qloft::pipeline {

// Sums over the first sequences, and how many those are.
void write_sums(const std::filesystem::path& file, const calibrate::SequenceSums& sums,
                std::int64_t sequences);
// Into those of `sums` that are there. The number of sequences, 0 where there is no file. Throws
// InputError for one that is not of `total` sequences and this layout.
std::int64_t read_sums(const std::filesystem::path& file, std::int64_t total,
                       const architecture::Layout& layout, const calibrate::SequenceSums& sums);

}  // namespace qloft::pipeline
