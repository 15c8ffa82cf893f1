#pragma once
#include <string>

namespace qloft::test {

// Text of some hundred tokens that the bundled model knows.
inline std::string apples() {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Tom has 3 apples and buys 5 more. ";
  return text;
}

}  // namespace qloft::test
