#include "qloft/core/progress.h"

#include <utility>

namespace qloft {

void Progress::begin(std::string_view, std::uint64_t, std::string_view) {}
void Progress::update(std::uint64_t, std::string_view) {}
void Progress::end() {}
void Progress::note(std::string_view) {}
void Progress::warn(std::string_view) {}
bool Progress::stop_requested() const {
  return false;
}

PartProgress::PartProgress(Progress& whole, std::string part)
    : whole_(whole), part_(std::move(part)) {}
void PartProgress::begin(std::string_view stage, std::uint64_t total, std::string_view unit) {
  whole_.begin(part_ + ": " + std::string(stage), total, unit);
}
void PartProgress::update(std::uint64_t done, std::string_view note) {
  whole_.update(done, note);
}
void PartProgress::end() {
  whole_.end();
}
void PartProgress::note(std::string_view message) {
  whole_.note(message);
}
void PartProgress::warn(std::string_view message) {
  whole_.warn(message);
}
bool PartProgress::stop_requested() const {
  return whole_.stop_requested();
}

}  // namespace qloft
