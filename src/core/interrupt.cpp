#include "qloft/core/interrupt.h"

#include <atomic>
#include <utility>

#include "qloft/core/error.h"

namespace qloft {
namespace {

thread_local const Progress* asked = nullptr;
std::atomic<int> keeping{0};
std::atomic<bool> whole_output{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "read in a signal handler");

}  // namespace

Interruptible::Interruptible(const Progress& progress) : outer_(std::exchange(asked, &progress)) {}

Interruptible::~Interruptible() {
  asked = outer_;
}

void expect_not_interrupted() {
  if (asked != nullptr && asked->stop_requested()) throw Interrupted({}, "stopped");
}

Keeping::Keeping() {
  ++keeping;
}

Keeping::~Keeping() {
  --keeping;
}

bool Keeping::now() {
  return keeping.load() > 0 || whole_output.load();
}

void output_is_whole(bool whole) {
  whole_output = whole;
}

}  // namespace qloft
