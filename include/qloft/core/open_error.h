#pragma once

#include <filesystem>

namespace qloft {

// Throws for a file that open() refused with `error_number`: InputError where its name leads to no
// file, SystemError where the machine keeps it.
[[noreturn]] void refuse_to_open(const std::filesystem::path& path, int error_number);

}  // namespace qloft
