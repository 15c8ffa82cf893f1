#pragma once
// Comma-separated files (RFC 4180), as data sets are published in them.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qloft::data {

struct CsvRecord {
  std::vector<std::string> fields;
  std::int64_t line = 1;  // on which it begins
};

// A record a line; a field in double quotes may hold commas, line ends and, doubled, quotes. Blank
// lines and a byte-order mark are skipped. Throws InputError naming file and line where a quote is
// not closed or has text behind it.
std::vector<CsvRecord> read_csv(const std::filesystem::path& file);

}  // namespace qloft::data
