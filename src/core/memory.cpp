#include "qloft/core/memory.h"

#include <fstream>
#include <string>

namespace qloft {
namespace {

std::uint64_t status_kilobytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(field)) return std::stoull(line.substr(field.size()));
  }
  return 0;
}

}  // namespace

std::uint64_t peak_resident_bytes() {
  return status_kilobytes("VmHWM:") * 1024;
}
std::uint64_t resident_bytes() {
  return status_kilobytes("VmRSS:") * 1024;
}
std::uint64_t anonymous_resident_bytes() {
  return status_kilobytes("RssAnon:") * 1024;
}

bool reset_peak_resident_bytes() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << 5;
  clear.close();
  return static_cast<bool>(clear);
}

}  // namespace qloft
