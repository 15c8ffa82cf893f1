#pragma once
// The one JSON parser, with its choice about duplicate keys.

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "qloft/io.h"

namespace qloft::io {

// keep_last: as Python's json (and so transformers) reads them. refuse: an InputError names the
// key.
enum class DuplicateKeys : bool { keep_last, refuse };

Json parse_json(std::string_view text, const std::filesystem::path& file, std::int64_t first_line,
                DuplicateKeys duplicates);

}  // namespace qloft::io
