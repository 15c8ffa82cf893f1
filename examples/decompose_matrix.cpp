// W = Q + B A on one matrix: what the bits and the low-rank part are worth.
//
//   decompose_matrix

#include <iomanip>
#include <iostream>

#include "qloft/core/matrix.h"
#include "qloft/core/random.h"
#include "qloft/decompose.h"

int main() {
  using namespace qloft;
  Matrix weight(192, 256);
  Random(1).fill_normal(weight.values(), 0.f, 0.02f);

  std::cout << "bits  bits/weight  Q alone  Q + B A (LoftQ, rank 16)\n" << std::fixed;
  for (const int bits : {2, 3, 4}) {
    decompose::Recipe recipe = decompose::recipe_from(decompose::preset("loftq"));
    recipe.format.bits = bits;
    recipe.rank = 16;
    const auto joint = decompose::decompose(weight.view(), recipe, "weight");
    recipe.rank = 0;
    const auto alone = decompose::decompose(weight.view(), recipe, "weight");
    std::cout << std::setw(4) << bits << std::setprecision(3) << std::setw(13)
              << recipe.format.bits_per_weight(weight.rows(), weight.columns())
              << std::setprecision(4) << std::setw(9) << alone.final_error() << std::setw(9)
              << joint.final_error() << '\n';
  }
}
