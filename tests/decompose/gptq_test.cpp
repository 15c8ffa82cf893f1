#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "cases.h"

namespace qloft::decompose {
namespace {

using testing::HasSubstr;

Recipe gptq(int bits) {
  Recipe recipe = recipe_from(preset("gptq-lora"));
  recipe.format = {.bits = bits, .codebook = quant::Codebook::nf, .block = 64, .second_level = {}};
  recipe.rank = 0;
  return recipe;
}

Matrix inverse(const Matrix& h) {
  const auto n = static_cast<std::size_t>(h.rows());
  std::vector<std::vector<double>> a(n, std::vector<double>(2 * n));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      a[i][j] = h(static_cast<std::int64_t>(i), static_cast<std::int64_t>(j));
    }
    a[i][n + i] = 1;
  }
  for (std::size_t p = 0; p < n; ++p) {
    const double pivot = a[p][p];
    for (double& value : a[p]) value /= pivot;
    for (std::size_t i = 0; i < n; ++i) {
      const double factor = a[i][p];
      for (std::size_t j = 0; i != p && j < 2 * n; ++j) a[i][j] -= factor * a[p][j];
    }
  }
  Matrix out(h.rows(), h.columns());
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      out(static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)) =
          static_cast<float>(a[i][n + j]);
    }
  }
  return out;
}

// Optimal Brain Quantization in a fixed order, as GPTQ's paper defines it (section 3, equation 2):
// after column p is rounded, the columns to come move by -e H^-1[p, :] / H^-1[p, p], and row and
// column p leave the inverse by Gaussian elimination.
Matrix by_definition(const Matrix& weight, const Matrix& gram, double damping,
                     const quant::Format& format) {
  const std::int64_t n = gram.rows();
  Matrix h = gram;
  double mean = 0;
  for (std::int64_t j = 0; j < n; ++j) mean += gram(j, j) / static_cast<double>(n);
  for (std::int64_t j = 0; j < n; ++j) h(j, j) += static_cast<float>(damping * mean);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](auto a, auto b) { return gram(a, a) > gram(b, b); });
  const Matrix scales = quant::block_scales(quant::quantize(weight.view(), format));
  const std::vector<float> values = quant::code_values(format);
  Matrix left = inverse(h), w = weight;
  for (const std::int64_t p : order) {
    std::vector<float> move(static_cast<std::size_t>(n));
    for (std::int64_t k = 0; k < n; ++k) {
      move[static_cast<std::size_t>(k)] = left(p, k) / left(p, p);
    }
    for (std::int64_t i = 0; i < w.rows(); ++i) {
      const float scale = scales(i, p / format.block);
      float best = 0;
      for (const float value : values) {
        const float q = scale * value;
        if (value == values[0] || std::fabs(w(i, p) - q) < std::fabs(w(i, p) - best)) best = q;
      }
      const float e = w(i, p) - best;
      for (std::int64_t k = 0; k < n; ++k) {
        if (move[static_cast<std::size_t>(k)] != 0.f && k != p) {
          w(i, k) -= e * move[static_cast<std::size_t>(k)];
        }
      }
      w(i, p) = best;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const float factor = left(i, p);
      for (std::int64_t k = 0; i != p && k < n; ++k) {
        left(i, k) -= factor * move[static_cast<std::size_t>(k)];
      }
    }
    for (std::int64_t k = 0; k < n; ++k) {
      if (k != p) left(p, k) = left(k, p) = 0.f;
    }
  }
  return w;
}

TEST(Gptq, EqualsOptimalBrainQuantizationByItsDefinition) {
  const Matrix weight = noise(12, 200), gram = correlated_gram(200, 1000);
  for (const int bits : {2, 3, 4}) {
    const Decomposition found = decompose(weight.view(), gptq(bits), with_gram(gram), "w");
    const Matrix expected = by_definition(weight, gram, 0.01, gptq(bits).format);
    const Matrix q = dequantized(found.q);
    int different = 0;
    for (std::int64_t i = 0; i < q.size(); ++i) {
      different += std::fabs(q.data()[i] - expected.data()[i]) > 1e-4f ? 1 : 0;
    }
    // Values halfway between two codes may fall to either side by rounding, and all behind them.
    EXPECT_LE(different, 12 * 200 / 50) << bits;
    EXPECT_NEAR(output_error(difference(weight, q), gram) /
                    output_error(difference(weight, expected), gram),
                1.0, 0.01);
  }
}

TEST(Gptq, LowersTheErrorOfTheOutputsForEveryCodebook) {
  const Matrix weight = noise(24, 100), gram = correlated_gram(100);
  for (const quant::Format& format : std::vector<quant::Format>{
           {.bits = 2, .second_level = {}},
           {.bits = 3, .codebook = quant::Codebook::uniform, .second_level = {}},
           {.bits = 2, .codebook = quant::Codebook::uniform_asymmetric, .second_level = {}},
           {.bits = 3,
           .codebook = quant::Codebook::lloyd,
           .scale_rule = quant::ScaleRule::mse,
           .second_level = {}},
           {.bits = 1,
           .codebook = quant::Codebook::binary,
           .scale_rule = quant::ScaleRule::mse,
           .second_level = {}},
           {.bits = 2, .codebook = quant::Codebook::ternary, .block = 0, .second_level = {}},
           {.bits = 2,
           .codebook = quant::Codebook::trellis,
           .scale_rule = quant::ScaleRule::mse,
           .second_level = {}},
           {.bits = 4, .second_level = quant::SecondLevel{}}}) {
    Recipe recipe = gptq(2);
    recipe.format = format;
    const Decomposition fed_back = decompose(weight.view(), recipe, with_gram(gram), "w");
    recipe.quantizer = Quantizer::nearest;
    const Decomposition nearest = decompose(weight.view(), recipe, with_gram(gram), "w");
    EXPECT_LT(fed_back.final_metric_error(), nearest.final_metric_error()) << format.describe();
  }
}

TEST(Gptq, ChoosesNearestCodesWhereInputsDoNotLeanOnEachOther) {
  Matrix gram(64, 64);
  for (std::int64_t j = 0; j < 64; ++j) gram(j, j) = static_cast<float>(1 + j % 7);
  const Matrix weight = noise(8, 64);
  const Decomposition found = decompose(weight.view(), gptq(3), with_gram(gram), "w");
  const Matrix nearest = dequantized(quant::quantize(weight.view(), gptq(3).format));
  EXPECT_TRUE(std::ranges::equal(dequantized(found.q).values(), nearest.values()));
}

TEST(Gptq, NeedsAMetricWithAGramMatrix) {
  Recipe recipe = gptq(2);
  recipe.metric = Metric::frobenius;
  try {
    decompose(noise(8, 64).view(), recipe, "w");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("gptq needs a metric with a Gram matrix"));
  }
}

// The exact solver's recipe multiplies in f32 at any size.
TEST(Gptq, ProductsInEightBitsLeaveTheErrorThatThoseInF32Do) {
  const Matrix weight = noise(520, 600);
  const Statistics statistics = with_gram(correlated_gram(600, 2000));
  Recipe recipe = gptq(3);
  const double bytes = decompose(weight.view(), recipe, statistics, "w").final_metric_error();
  recipe.exact_svd = true;
  const double floats = decompose(weight.view(), recipe, statistics, "w").final_metric_error();
  EXPECT_NEAR(bytes / floats, 1.0, 0.002);
}

TEST(Qloft, ReportsTheErrorThatIsThereWhereItMultipliesInEightBits) {
  const Matrix weight = noise(520, 530), gram = correlated_gram(530, 2000);
  Recipe recipe = recipe_from(preset("qloft"));
  recipe.format.bits = 2;
  recipe.rank = 16;
  recipe.iterations = 3;
  recipe.damping = 0;
  const Decomposition found = decompose(weight.view(), recipe, with_gram(gram), "w");
  Matrix rest = dequantized(found.q);
  linalg::multiply(found.b.view(), linalg::Transpose::no, found.a.view(), linalg::Transpose::no,
                   rest.view(), 1.f, 1.f);
  Matrix error = difference(weight, rest), image(520, 530), of_weight(520, 530);
  linalg::multiply(error.view(), linalg::Transpose::no, gram.view(), linalg::Transpose::no,
                   image.view());
  linalg::multiply(weight.view(), linalg::Transpose::no, gram.view(), linalg::Transpose::no,
                   of_weight.view());
  double squared = 0, whole = 0;
  for (std::int64_t i = 0; i < error.size(); ++i) {
    squared += error.data()[i] * image.data()[i];
    whole += weight.data()[i] * of_weight.data()[i];
  }
  EXPECT_NEAR(found.final_metric_error() / std::sqrt(squared / whole), 1.0, 0.005);
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6);
}

TEST(Gptq, GivesTheSameBitsForAnyNumberOfThreads) {
  const Matrix weight = noise(100, 300);
  const Statistics statistics = with_gram(correlated_gram(300));
  const int threads = thread_count();
  set_thread_count(1);
  const Matrix one = dequantized(decompose(weight.view(), gptq(2), statistics, "w").q);
  set_thread_count(3);
  const Matrix three = dequantized(decompose(weight.view(), gptq(2), statistics, "w").q);
  set_thread_count(threads);
  EXPECT_TRUE(std::ranges::equal(one.values(), three.values()));
}

TEST(Cloq, LeavesLessThanGptqAndThanTheClosedFormAlone) {
  const Matrix weight = noise(48, 96);
  const Statistics statistics = with_gram(correlated_gram(96));
  const auto error = [&](std::string_view method, std::int64_t rank) {
    Recipe recipe = recipe_from(preset(method));
    recipe.format = gptq(2).format;
    recipe.rank = rank;
    return decompose(weight.view(), recipe, statistics, "w").final_metric_error();
  };
  EXPECT_LT(error("cloq", 8), error("gptq-lora", 8));
  EXPECT_LT(error("cloq", 8), error("qera", 8));
  EXPECT_LT(error("qera", 8), error("qera-approx", 8));
}

TEST(Qloft, AlternatesUntilTheErrorUnderTheMetricNoLongerFallsAndKeepsTheBest) {
  const Matrix weight = noise(48, 96);
  const Statistics statistics = with_gram(correlated_gram(96));
  Recipe recipe = recipe_from(preset("qloft"));
  recipe.format.bits = 2;
  recipe.rank = 8;
  recipe.iterations = 100;
  const Decomposition found = decompose(weight.view(), recipe, statistics, "w");
  ASSERT_LT(found.metric_error.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(found.metric_error, std::greater{}));
  EXPECT_NEAR(found.final_error(), measured_error(weight, found, 1.0), 1e-6);
  recipe.iterations = 1;
  EXPECT_LT(found.final_metric_error(),
            decompose(weight.view(), recipe, statistics, "w").final_metric_error());
}

}  // namespace
}  // namespace qloft::decompose
