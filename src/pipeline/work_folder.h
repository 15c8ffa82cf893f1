#pragma once
// OUTPUT.work: what a stage of several parts keeps for an interrupted run until its output is in
// its place.

#include <filesystem>
#include <span>
#include <string_view>

namespace qloft::pipeline {

// OUTPUT without a final slash.
std::filesystem::path work_folder(const std::filesystem::path& output);

// Removes the entries whose names begin with one of `prefixes`, then the folder where nothing else
// is in it. Throws SystemError for what cannot be removed.
void clear_work_folder(const std::filesystem::path& output,
                       std::span<const std::string_view> prefixes);

}  // namespace qloft::pipeline
