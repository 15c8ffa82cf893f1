// replay PATH...: runs the fuzz target that it is linked with once on every file, and on all files
// of every folder.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "qloft/core/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

int replay(const fs::path& path) {
  if (fs::is_directory(path)) {
    int files = 0;
    for (const auto& entry : fs::directory_iterator(path)) files += replay(entry.path());
    return files;
  }
  const std::string content = qloft::read_file(path);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i) files += replay(argv[i]);
  std::printf("%d files\n", files);
  return files > 0 ? 0 : 1;
}
