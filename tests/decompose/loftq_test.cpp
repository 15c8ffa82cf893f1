#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cases.h"

namespace qloft::decompose {
namespace {

TEST(Loftq, MatchesPeftsFactorsAndErrors) {
  std::ifstream file(QLOFT_TEST_DATA "/golden/loftq.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const std::int64_t rows = golden["rows"], columns = golden["columns"], rank = golden["rank"];
  Matrix weight(rows, columns);
  for (std::int64_t i = 0; i < weight.size(); ++i) {
    weight.data()[i] = golden["weight_times_1024"][static_cast<std::size_t>(i)].get<float>() / 1024;
  }
  for (const nlohmann::json& run : golden["runs"]) {
    for (const bool exact : {true, false}) {
      Recipe recipe = loftq(4, rank, run["iterations"]);
      recipe.exact_svd = exact;
      const Decomposition found = decompose(weight.view(), recipe, "w");
      EXPECT_NEAR(found.final_error() / run["relative_error"].get<double>(), 1.0, 1e-5);
      const Matrix q = dequantized(found.q);
      EXPECT_NEAR(linalg::frobenius_norm(q.view()), run["q_norm"].get<double>(), 1e-5);
      const auto a = run["a"].get<std::vector<float>>(), b = run["b"].get<std::vector<float>>();
      for (std::int64_t i = 0; i < rows; ++i) {
        double sum = 0.0;
        for (std::int64_t j = 0; j < columns; ++j) {
          sum += q(i, j);
          double wanted = 0.0, product = 0.0;
          for (std::int64_t k = 0; k < rank; ++k) {
            wanted += static_cast<double>(b[static_cast<std::size_t>(i * rank + k)]) *
                      a[static_cast<std::size_t>(k * columns + j)];
            product += static_cast<double>(found.b(i, k)) * found.a(k, j);
          }
          ASSERT_NEAR(product, wanted, 1e-4) << i << ' ' << j;
        }
        ASSERT_NEAR(sum, run["q_row_sums"][static_cast<std::size_t>(i)].get<double>(), 1e-4) << i;
      }
    }
  }
}

TEST(Loftq, ReportsTheErrorThatIsThere) {
  const Matrix weight = noise(96, 160);
  for (const double scale : {1.0, 0.25, 2.0}) {
    Recipe recipe = loftq(2, 8);
    recipe.scale = scale;
    const Decomposition found = decompose(weight.view(), recipe, "w");
    ASSERT_EQ(found.relative_error.size(), 5u);
    EXPECT_NEAR(found.final_error(), measured_error(weight, found, scale), 1e-6);
  }
}

TEST(Loftq, ReportsTheErrorThatIsThereWhereTheSolverMultipliesInEightBits) {
  const Matrix weight = noise(530, 590);
  const Decomposition found = decompose(weight.view(), loftq(2, 8, 2), "w");
  EXPECT_NEAR(found.final_error() / measured_error(weight, found, 1.0), 1.0, 1e-4);
}

TEST(Loftq, MultipliesInF32WhereTheFactorsTakeNearlyAll) {
  const Matrix weight = noise(520, 530);
  const Decomposition found = decompose(weight.view(), loftq(2, 500, 2), "w");
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6);
  EXPECT_LT(found.svd_residual.front(), 0.1);
}

TEST(Loftq, EveryIterationOnAverageLowersTheError) {
  const Decomposition found = decompose(noise(256, 256).view(), loftq(4, 16), "w");
  for (std::size_t t = 1; t < found.relative_error.size(); ++t) {
    EXPECT_LT(found.relative_error[t], found.relative_error[t - 1]);
  }
}

TEST(Loftq, RandomizedSvdEndsWithinHalfAPercentOfTheExactOne) {
  struct Case {
    const char* name;
    Matrix weight;
    int bits;
    std::int64_t rank;
  };
  // The last is above the size from which fewer power iterations are done.
  const Case cases[] = {
      {"flat", noise(192, 256), 2, 8},       {"flat", noise(192, 256), 4, 8},
      {"falling", decaying(192, 256), 2, 8}, {"falling", decaying(192, 256), 4, 8},
      {"ragged", noise(250, 150), 3, 10},    {"flat, large", noise(530, 530), 2, 8}};
  for (const Case& c : cases) {
    Recipe recipe = loftq(c.bits, c.rank);
    const double randomized = decompose(c.weight.view(), recipe, "w").final_error();
    recipe.exact_svd = true;
    const double exact = decompose(c.weight.view(), recipe, "w").final_error();
    EXPECT_NEAR(randomized / exact, 1.0, 0.005) << c.name << ' ' << c.bits << " bits";
  }
}

TEST(Loftq, MeasuresWhatTheSvdLeavesOfTheResidual) {
  const Matrix weight = noise(64, 96);
  const Decomposition found = decompose(weight.view(), loftq(2, 4, 1), "w");
  Matrix rest = weight;
  const Matrix q = dequantized(found.q);
  for (std::int64_t i = 0; i < rest.size(); ++i) rest.data()[i] -= q.data()[i];
  const double before = linalg::frobenius_norm(rest.view());
  linalg::multiply(found.b.view(), linalg::Transpose::no, found.a.view(), linalg::Transpose::no,
                   rest.view(), -1.f, 1.f);
  ASSERT_EQ(found.svd_residual.size(), 1u);
  EXPECT_NEAR(found.svd_residual[0], linalg::frobenius_norm(rest.view()) / before, 1e-6);
}

TEST(Loftq, MeasuresATinyErrorWhereTheFactorsTakeAll) {
  // At full rank only rounding is left, which a difference of squared norms would not show.
  const Matrix weight = noise(24, 64);
  for (const bool exact : {false, true}) {
    Recipe recipe = loftq(2, 24, 1);
    recipe.exact_svd = exact;
    const Decomposition found = decompose(weight.view(), recipe, "w");
    EXPECT_LT(found.final_error(), 1e-5);
    EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6);
  }
}

TEST(Loftq, SplitsTheSingularValuesEvenly) {
  Recipe recipe = loftq(4, 3, 1);
  recipe.scale = 4.0;
  const Decomposition found = decompose(noise(40, 64).view(), recipe, "w");
  for (std::int64_t k = 0; k < 3; ++k) {
    double a = 0.0, b = 0.0;
    for (std::int64_t j = 0; j < 64; ++j) a += found.a(k, j) * found.a(k, j);
    for (std::int64_t i = 0; i < 40; ++i) b += found.b(i, k) * found.b(i, k);
    EXPECT_NEAR(a / b, 1.0, 1e-4);
  }
}

TEST(Loftq, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = thread_count();
  const Matrix weight = noise(300, 192);
  std::vector<Decomposition> found;
  for (const int count : {1, 3}) {
    set_thread_count(count);
    found.push_back(decompose(weight.view(), loftq(3, 8, 2), "w"));
  }
  set_thread_count(threads);
  EXPECT_EQ(found[0].relative_error, found[1].relative_error);
  EXPECT_TRUE(std::ranges::equal(found[0].a.values(), found[1].a.values()));
}

TEST(Loftq, ReadsAStridedWeight) {
  const Matrix wide = noise(32, 100);
  Matrix part(32, 64);
  for (std::int64_t i = 0; i < 32; ++i) std::copy_n(wide.view().row(i) + 20, 64, &part(i, 0));
  EXPECT_EQ(decompose(wide.view().block(0, 20, 32, 64), loftq(4, 4, 2), "w").relative_error,
            decompose(part.view(), loftq(4, 4, 2), "w").relative_error);
}

TEST(Loftq, WorksForEveryCodebookAndRaggedShapes) {
  using quant::Codebook;
  for (const auto& [codebook, bits] : {std::pair{Codebook::nf, 3},
                                       {Codebook::uniform, 4},
                                       {Codebook::uniform_asymmetric, 2},
                                       {Codebook::lloyd, 2},
                                       {Codebook::binary, 1},
                                       {Codebook::ternary, 2}}) {
    Recipe recipe = loftq(bits, 5, 3);
    recipe.format.codebook = codebook;
    const Matrix weight = noise(37, 101);
    const Decomposition found = decompose(weight.view(), recipe, "w");
    EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-5)
        << quant::name(codebook);
  }
}

}  // namespace
}  // namespace qloft::decompose
