#include "qloft/core/progress.h"

namespace qloft {

void Progress::begin(std::string_view, std::uint64_t, std::string_view) {}
void Progress::update(std::uint64_t, std::string_view) {}
void Progress::end() {}
void Progress::note(std::string_view) {}
void Progress::warn(std::string_view) {}
bool Progress::stop_requested() const {
  return false;
}

}  // namespace qloft
