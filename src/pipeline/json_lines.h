#pragma once
// A file of JSON objects, one a line, that grows while long work goes on.

#include <filesystem>
#include <string>
#include <vector>

#include "qloft/io.h"

namespace qloft::pipeline {

// Adds lines, each with its newline; they are on the disk when it returns.
void append_lines(const std::filesystem::path& file, const std::string& lines);
// The objects so far, none where there is no file; a line that was cut short is left out.
std::vector<io::Json> read_lines(const std::filesystem::path& file);

}  // namespace qloft::pipeline
