#pragma once
// What the checks of an output and its folder know in common: how it is called, and by what its
// unfinished forms are known.

#include <filesystem>
#include <string>

#include "qloft/pipeline/output.h"

namespace qloft::pipeline {

inline constexpr const char* kJournalFile = ".journal.jsonl";
inline constexpr const char* kStagingSuffix = ".partial";
inline constexpr const char* kOldSuffix = ".qloft-old";

bool is_there(const std::filesystem::path& path);  // a link that leads nowhere, too
bool is_folder(const std::filesystem::path& path);
std::filesystem::path with_suffix(std::filesystem::path path, const char* suffix);
std::filesystem::path without_final_slash(const std::filesystem::path& path);
std::filesystem::path folder_of(const std::filesystem::path& path);
bool is_unfinished_file(const std::filesystem::path& path);
// False also where it cannot be read.
bool holds_only_marks(const std::filesystem::path& folder);

// Without a final slash, and where a link leads. Throws InputError where that is no name.
std::filesystem::path target_of(const OutputRequest& request);

[[noreturn]] void refuse_existing_file(const std::filesystem::path& target);
[[noreturn]] void refuse_existing_folder(const std::filesystem::path& target);

}  // namespace qloft::pipeline
