#include "work_folder.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "output_names.h"
#include "qloft/core/file.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;

fs::path work_folder(const fs::path& output) {
  return with_suffix(without_final_slash(output), ".work");
}

void clear_work_folder(const fs::path& output, std::span<const std::string_view> prefixes) {
  const fs::path folder = work_folder(output);
  std::error_code error;
  std::vector<fs::path> own;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (std::ranges::any_of(prefixes, [&](std::string_view p) { return name.starts_with(p); })) {
      own.push_back(entry.path());
    }
  }
  for (const fs::path& path : own) remove_whole(path);
  if (fs::is_empty(folder, error)) remove_whole(folder);
}

}  // namespace qloft::pipeline
