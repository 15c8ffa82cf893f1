#include <cstdio>

#include "qloft/core/random.h"
#include "qloft/decompose.h"

int main() {
  qloft::Matrix weight(64, 128);
  qloft::Random(1).fill_normal(weight.values());
  const auto recipe = qloft::decompose::recipe_from(qloft::decompose::preset("loftq"));
  std::printf("relative error %.3f\n",
              qloft::decompose::decompose(weight.view(), recipe, "weight").final_error());
}
