#include "qloft/kernels/dense.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "qloft/core/random.h"

namespace qloft::kernels {
namespace {

constexpr std::int64_t kLongest = 70;  // every length up to four vectors of the widest set

std::vector<float> normals(std::int64_t count, std::uint64_t seed, float deviation = 1.f) {
  std::vector<float> out(static_cast<std::size_t>(count));
  Random(seed).fill_normal(out, 0.f, deviation);
  return out;
}

// For every set that this machine supports and every length.
template <typename Body>
void for_all(const Body& body) {
  for (const InstructionSet set : supported_instruction_sets()) {
    const DenseTable& table = dense_table(set);
    EXPECT_EQ(table.set, set);
    for (std::int64_t count = 0; count <= kLongest; ++count) {
      SCOPED_TRACE(std::string(name(set)) + ", " + std::to_string(count) + " elements");
      body(table, count);
    }
  }
}

TEST(DenseKernels, MultiplyRowsByAVector) {
  for_all([](const DenseTable& table, std::int64_t count) {
    constexpr std::int64_t kRows = 6;
    const std::int64_t stride = count + 3;
    const auto w = normals(kRows * stride, 1), x = normals(count, 2);
    std::vector<BFloat16> half;
    for (const float value : w) half.push_back(BFloat16::from_float(value));
    float y[kRows], z[kRows];
    table.rows_dot_f32(w.data(), stride, kRows, x.data(), 1, count, y);
    table.rows_dot_bf16(half.data(), stride, kRows, x.data(), 1, count, z);
    for (std::int64_t i = 0; i < kRows; ++i) {
      double sum = 0, sum_of_half = 0;
      for (std::int64_t j = 0; j < count; ++j) {
        const auto at = static_cast<std::size_t>(i * stride + j);
        sum += static_cast<double>(w[at]) * x[static_cast<std::size_t>(j)];
        sum_of_half += static_cast<double>(half[at].to_float()) * x[static_cast<std::size_t>(j)];
      }
      EXPECT_NEAR(y[i], sum, 2e-5);
      EXPECT_NEAR(z[i], sum_of_half, 2e-5);
    }
  });
}

TEST(DenseKernels, MultiplyRowsByManyVectorsToTheBitsOfEach) {
  for_all([](const DenseTable& table, std::int64_t count) {
    constexpr std::int64_t kRows = 7, kMost = 11;
    const std::int64_t stride = count + 3;
    const auto w = normals(kRows * stride, 1), x = normals(kMost * count, 2);
    std::vector<BFloat16> half;
    for (const float value : w) half.push_back(BFloat16::from_float(value));
    std::vector<float> alone(2 * kMost * kRows), together(alone.size());
    const auto multiply = [&](std::int64_t first, std::int64_t inputs, float* y) {
      const float* from = x.data() + first * count;
      table.rows_dot_f32(w.data(), stride, kRows, from, inputs, count, y);
      table.rows_dot_bf16(half.data(), stride, kRows, from, inputs, count, y + kMost * kRows);
    };
    for (std::int64_t k = 0; k < kMost; ++k) multiply(k, 1, alone.data() + k * kRows);
    multiply(0, kMost, together.data());
    EXPECT_EQ(together, alone);
  });
}

TEST(DenseKernels, AddWeightedRows) {
  for_all([](const DenseTable& table, std::int64_t count) {
    constexpr std::int64_t kRows = 5;
    const std::int64_t stride = count + 1;
    const auto w = normals(kRows * stride, 3), p = normals(kRows, 4);
    auto y = normals(count, 5);
    const auto before = y;
    table.add_weighted_rows(w.data(), stride, kRows, p.data(), count, y.data());
    for (std::size_t j = 0; j < y.size(); ++j) {
      double sum = before[j];
      for (std::size_t i = 0; i < kRows; ++i) {
        sum += static_cast<double>(p[i]) * w[i * static_cast<std::size_t>(stride) + j];
      }
      EXPECT_NEAR(y[j], sum, 1e-5);
    }
  });
}

TEST(DenseKernels, AddSquaresByRowAndByColumn) {
  for_all([](const DenseTable& table, std::int64_t count) {
    constexpr std::int64_t kRows = 5;
    const auto x = normals(kRows * count, 6);
    std::vector<float> by_row(kRows, 1.f), by_column(static_cast<std::size_t>(count), 2.f);
    table.add_squares(x.data(), kRows, count, by_row.data(), by_column.data());
    std::vector<double> rows(by_row.size(), 1.0), columns(by_column.size(), 2.0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t j = 0; j < columns.size(); ++j) {
        const double value = x[i * columns.size() + j];
        rows[i] += value * value;
        columns[j] += value * value;
      }
    }
    for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_NEAR(by_row[i], rows[i], 1e-4);
    for (std::size_t j = 0; j < columns.size(); ++j) EXPECT_NEAR(by_column[j], columns[j], 1e-5);
  });
}

// The formula of the header, in doubles where that is exact.
std::vector<std::int8_t> codes_by_formula(const std::vector<float>& x,
                                          std::vector<BFloat16>& scales) {
  std::vector<std::int8_t> codes;
  for (std::size_t first = 0; first < x.size(); first += kCodeBlock) {
    const std::size_t end = std::min<std::size_t>(x.size(), first + kCodeBlock);
    float most = 0;
    for (std::size_t j = first; j < end; ++j) most = std::max(most, std::abs(x[j]));
    scales.push_back(BFloat16::from_float(most / 127.f));
    const float scale = scales.back().to_float();
    for (std::size_t j = first; j < end; ++j) {
      const float code = scale > 0 ? std::nearbyint(x[j] / scale) : 0.f;
      codes.push_back(static_cast<std::int8_t>(std::clamp(code, -127.f, 127.f)));
    }
  }
  return codes;
}

TEST(DenseKernels, RoundToCodesOfEightBitsAndReadThem) {
  for_all([](const DenseTable& table, std::int64_t count) {
    constexpr std::int64_t kRows = 3;
    const auto blocks = static_cast<std::size_t>((count + kCodeBlock - 1) / kCodeBlock);
    std::vector<std::int8_t> codes;
    std::vector<BFloat16> scales;
    for (std::int64_t row = 0; row < kRows; ++row) {
      auto x = normals(count, 12 + static_cast<std::uint64_t>(row), row == 1 ? 1e-38f : 50.f);
      if (row == 2) {
        for (std::size_t j = 0; j < x.size(); ++j) x[j] = static_cast<float>(j) - 0.5f;  // ties
        if (count > 0) x[0] = 127.f;
      }
      std::vector<std::int8_t> own(x.size());
      std::vector<BFloat16> own_scales(blocks), expected_scales;
      table.to_codes(x.data(), count, own.data(), own_scales.data());
      EXPECT_EQ(own, codes_by_formula(x, expected_scales)) << row;
      for (std::size_t i = 0; i < blocks; ++i) {
        EXPECT_EQ(own_scales[i].bits, expected_scales[i].bits) << row;
      }
      codes.insert(codes.end(), own.begin(), own.end());
      scales.insert(scales.end(), own_scales.begin(), own_scales.end());
    }
    std::vector<float> out(codes.size());
    table.from_codes(codes.data(), scales.data(), kRows, count, out.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t row = i / static_cast<std::size_t>(count);
      const std::size_t block = i % static_cast<std::size_t>(count) / kCodeBlock;
      EXPECT_EQ(out[i], static_cast<float>(codes[i]) * scales[row * blocks + block].to_float());
    }
  });
}

TEST(DenseKernels, GiveABlockThatIsNotFiniteNoScale) {
  for_all([](const DenseTable& table, std::int64_t count) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
      for (std::size_t at = 0; at < static_cast<std::size_t>(count); ++at) {
        auto x = normals(count, 6);
        x[at] = bad;
        std::vector<std::int8_t> codes(x.size());
        std::vector<BFloat16> scales(x.size() / kCodeBlock + 1);
        table.to_codes(x.data(), count, codes.data(), scales.data());
        table.from_codes(codes.data(), scales.data(), 1, count, x.data());
        for (std::size_t j = 0; j < x.size(); ++j) {
          EXPECT_EQ(std::isnan(x[j]), j / kCodeBlock == at / kCodeBlock) << at << ", " << j;
        }
      }
    }
  });
}

TEST(DenseKernels, MultiplyBlocksByAHadamardMatrixAndBack) {
  for_all([](const DenseTable& table, std::int64_t count) {
    constexpr std::int64_t kRows = 2;
    const auto x = normals(kRows * count, 14);
    auto y = x;
    table.hadamard(y.data(), kRows, count);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t in_row = i % static_cast<std::size_t>(count), at = in_row % kCodeBlock;
      const std::size_t n =
          std::min<std::size_t>(kCodeBlock, static_cast<std::size_t>(count) - (in_row - at));
      double expected = x[i];
      if (std::has_single_bit(n)) {
        expected = 0;
        for (std::size_t k = 0; k < n; ++k) {
          const int sign = std::popcount(at & k) % 2 == 0 ? 1 : -1;
          expected += sign * static_cast<double>(x[i - at + k]);
        }
      }
      EXPECT_NEAR(y[i], expected, 1e-5) << i;
    }
    const auto portable = [&] {
      auto z = x;
      dense_table(InstructionSet::portable).hadamard(z.data(), kRows, count);
      return z;
    };
    EXPECT_EQ(y, portable());
    table.inverse_hadamard(y.data(), kRows, count);
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], x[i], 1e-6) << i;
  });
}

TEST(DenseKernels, TurnScoresIntoExponentials) {
  for_all([](const DenseTable& table, std::int64_t count) {
    auto x = normals(count, 6, 30.f);
    const float most = table.largest(x.data(), count);
    if (count == 0) {
      EXPECT_EQ(most, -std::numeric_limits<float>::infinity());
      return;
    }
    EXPECT_EQ(most, *std::max_element(x.begin(), x.end()));
    x[0] = -std::numeric_limits<float>::infinity();
    const auto before = x;
    const float sum = table.exponentials(x.data(), count, most);
    double exact_sum = 0;
    for (std::size_t j = 0; j < x.size(); ++j) {
      const double exact = std::exp(static_cast<double>(before[j]) - most);
      exact_sum += exact;
      EXPECT_NEAR(x[j], exact, 8e-6 * exact + 2e-38) << before[j];
    }
    EXPECT_NEAR(sum, exact_sum, 1e-5 * exact_sum + 1e-36);
  });
}

TEST(DenseKernels, TakeGradientsThroughSoftmax) {
  for_all([](const DenseTable& table, std::int64_t count) {
    auto p = normals(count, 10, 3.f), d = normals(count, 11);
    if (count > 0) p[0] = -std::numeric_limits<float>::infinity();
    const auto scores = p, gradients = d;
    table.softmax_gradient(p.data(), d.data(), count, 0.25f, 2.f, 0.5f);
    for (std::size_t j = 0; j < p.size(); ++j) {
      const double exact = std::exp(0.25 * static_cast<double>(scores[j]) - 2);
      EXPECT_NEAR(p[j], exact, 8e-6 * exact + 2e-38) << scores[j];
      EXPECT_NEAR(d[j], p[j] * (gradients[j] - 0.5f), 1e-6) << j;
    }
  });
}

TEST(DenseKernels, KeepWhatIsNotANumber) {
  for_all([](const DenseTable& table, std::int64_t count) {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    constexpr float kHidden = -std::numeric_limits<float>::infinity();
    for (std::size_t at = 0; at < static_cast<std::size_t>(count); ++at) {
      auto x = normals(count, 6);
      x[at] = kNan;
      EXPECT_TRUE(std::isnan(table.largest(x.data(), count))) << at;
      EXPECT_TRUE(std::isnan(table.exponentials(x.data(), count, 0.f))) << at;
      EXPECT_TRUE(std::isnan(x[at]));
      // Beside hidden scores alone it stays one too.
      std::fill(x.begin(), x.end(), kHidden);
      x[at] = kNan;
      EXPECT_TRUE(std::isnan(table.largest(x.data(), count))) << at;
      auto g = normals(count, 7), d = normals(count, 8);
      g[at] = kNan;
      std::vector<float> out(g.size()), du(g.size());
      table.swiglu(g.data(), d.data(), count, out.data());
      EXPECT_TRUE(std::isnan(out[at])) << at;
      table.swiglu_gradient(g.data(), d.data(), d.data(), count, out.data(), du.data());
      EXPECT_TRUE(std::isnan(out[at]) && std::isnan(du[at])) << at;
      for (const auto kernel : {table.gelu, table.gelu_tanh}) {
        kernel(g.data(), count, out.data(), du.data());
        EXPECT_TRUE(std::isnan(out[at]) && std::isnan(du[at])) << at;
      }
    }
  });
}

TEST(DenseKernels, GateByTheSigmoidLinearUnit) {
  for_all([](const DenseTable& table, std::int64_t count) {
    auto g = normals(count, 7, 10.f);
    if (count > 1) {
      g[0] = -200.f;
      g[1] = 200.f;
    }
    const auto u = normals(count, 8), d = normals(count, 9);
    std::vector<float> out(g.size()), dg(g.size()), du(g.size());
    table.swiglu(g.data(), u.data(), count, out.data());
    table.swiglu_gradient(g.data(), u.data(), d.data(), count, dg.data(), du.data());
    for (std::size_t j = 0; j < g.size(); ++j) {
      const double s = 1 / (1 + std::exp(-static_cast<double>(g[j])));
      EXPECT_NEAR(out[j], g[j] * s * u[j], 1e-5 * std::abs(g[j] * u[j]));
      EXPECT_NEAR(dg[j], d[j] * u[j] * s * (1 + g[j] * (1 - s)), 1e-5 * (1 + std::abs(g[j])));
      EXPECT_NEAR(du[j], d[j] * g[j] * s, 1e-5 * std::abs(g[j] * d[j]));
    }
  });
}

TEST(DenseKernels, GateByTheNormalDistribution) {
  for_all([](const DenseTable& table, std::int64_t count) {
    auto x = normals(count, 7, 3.f);
    if (count > 1) {
      x[0] = -200.f;
      x[1] = 200.f;
    }
    std::vector<float> value(x.size()), slope(x.size());
    table.gelu(x.data(), count, value.data(), slope.data());
    for (std::size_t j = 0; j < x.size(); ++j) {
      const double at = x[j], phi = 0.5 * std::erfc(-at * std::numbers::sqrt2 / 2),
                   density =
                       std::exp(-at * at / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
      EXPECT_NEAR(value[j], at * phi, 2e-7 * (1 + std::abs(at))) << at;
      EXPECT_NEAR(slope[j], phi + at * density, 1e-6) << at;
    }
    table.gelu_tanh(x.data(), count, value.data(), slope.data());
    for (std::size_t j = 0; j < x.size(); ++j) {
      const double at = x[j], scale = std::sqrt(2 / std::numbers::pi),
                   t = std::tanh(scale * (at + 0.044715 * at * at * at)),
                   inner = scale * (1 + 3 * 0.044715 * at * at);
      EXPECT_NEAR(value[j], 0.5 * at * (1 + t), 2e-7 * (1 + std::abs(at))) << at;
      EXPECT_NEAR(slope[j], 0.5 * (1 + t) + 0.5 * at * (1 - t * t) * inner, 2e-6) << at;
    }
  });
}

}  // namespace
}  // namespace qloft::kernels
