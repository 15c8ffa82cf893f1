#pragma once
// Counts how deep an interpreter calls itself: a template that recurses for ever ends in an error
// before the stack does.

#include "jinja/value.h"

namespace qloft::chat_template::jinja {

class Depth {
 public:
  explicit Depth(int& depth) : depth_(depth) {
    if (depth_ >= kDeepest) throw Failure{"the template calls itself too deeply"};
    ++depth_;
  }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  static constexpr int kDeepest = 1000;
  int& depth_;
};

}  // namespace qloft::chat_template::jinja
