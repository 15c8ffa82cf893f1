#include "qloft/kernels/int8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "support.h"

namespace qloft::kernels {
namespace {

struct Shape {
  std::int64_t rows, columns;
};
const Shape kShapes[] = {{1, 1}, {3, 63}, {5, 64}, {11, 65}, {12, 130}, {12, 256}, {16, 200}};

std::int64_t blocks_of(std::int64_t columns) {
  return (columns + kInt8Block - 1) / kInt8Block;
}

template <typename T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

std::vector<Int8Activations> activations(const Int8Table& table, const std::vector<float>& x,
                                         const Shape& shape, std::int64_t stride) {
  std::vector<Int8Activations> out(static_cast<std::size_t>(blocks_of(shape.columns)));
  table.quantize_activations(x.data(), stride, shape.rows, shape.columns, out.data());
  return out;
}
std::vector<Int8Weights> weights(const Int8Table& table, const std::vector<float>& w,
                                 const Shape& shape, std::int64_t stride) {
  std::vector<Int8Weights> out(static_cast<std::size_t>(blocks_of(shape.columns)));
  table.quantize_weights(w.data(), stride, shape.rows, shape.columns, out.data());
  return out;
}

float element(const Int8Activations& block, std::int64_t row, std::int64_t k) {
  return static_cast<float>(block.codes[k / 4][row][k % 4]) * block.scales[row];
}
float element(const Int8Weights& block, std::int64_t row, std::int64_t k) {
  return static_cast<float>(block.codes[k / 4][row][k % 4] - kInt8Zero) * block.scales[row];
}

// For every set that this machine runs, AVX-512 in emulation too.
template <typename Body>
void for_all(const Body& body) {
  for (const InstructionSet set : sets()) {
    SCOPED_TRACE(name(set));
    EXPECT_EQ(int8_table_of(set).set, set);
    body(int8_table_of(set));
  }
}

TEST(Int8Kernels, KeepEveryElementWithinHalfAStepOfItsBlock) {
  for_all([](const Int8Table& table) {
    for (const Shape& shape : kShapes) {
      const std::int64_t stride = shape.columns + 3;
      const auto x = normal(shape.rows * stride, 1);
      const auto packed = weights(table, x, shape, stride);
      for (std::int64_t i = 0; i < shape.rows; ++i) {
        for (std::int64_t j = 0; j < shape.columns; ++j) {
          const Int8Weights& block = packed[static_cast<std::size_t>(j / kInt8Block)];
          const float value = x[static_cast<std::size_t>(i * stride + j)];
          EXPECT_NEAR(element(block, i, j % kInt8Block), value, 0.501f * block.scales[i]);
        }
      }
    }
  });
}

TEST(Int8Kernels, QuantizeToTheBytesOfThePortableOnes) {
  const Int8Table& portable = int8_table(InstructionSet::portable);
  for_all([&](const Int8Table& table) {
    for (const Shape& shape : kShapes) {
      const std::int64_t stride = shape.columns + 5;
      const auto x = normal(shape.rows * stride, 2);
      EXPECT_TRUE(
          same_bytes(weights(table, x, shape, stride), weights(portable, x, shape, stride)));
      if (shape.rows > kInt8Rows) continue;
      EXPECT_TRUE(same_bytes(activations(table, x, shape, stride),
                             activations(portable, x, shape, stride)));
    }
  });
}

TEST(Int8Kernels, QuantizeATransposeAsItsRows) {
  for_all([](const Int8Table& table) {
    for (const auto& [rows, columns] : {Shape{1, 1}, {63, 7}, {64, 16}, {10, 15}}) {
      const std::int64_t stride = columns + 2;
      const auto w = normal(rows * stride, 3);
      std::vector<float> turned(static_cast<std::size_t>(rows * columns));
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          turned[static_cast<std::size_t>(j * rows + i)] =
              w[static_cast<std::size_t>(i * stride + j)];
        }
      }
      std::vector<Int8Weights> out(1);
      table.quantize_transposed_weights(w.data(), stride, rows, columns, out.data());
      EXPECT_TRUE(same_bytes(out, weights(table, turned, {columns, rows}, rows)));
    }
  });
}

TEST(Int8Kernels, MultiplyAsSumsOfTheirElements) {
  for_all([](const Int8Table& table) {
    for (const std::int64_t columns : {1, 64, 200, 640}) {
      const auto x = normal(kInt8Rows * columns, 4), w = normal(kInt8Columns * columns, 5);
      const auto a = activations(table, x, {kInt8Rows, columns}, columns);
      const auto b = weights(table, w, {kInt8Columns, columns}, columns);
      std::vector<float> y(kInt8Rows * kInt8Columns, -1.f);
      table.multiply(a.data(), b.data(), std::ssize(a), y.data());
      for (std::int64_t i = 0; i < kInt8Rows; ++i) {
        for (std::int64_t j = 0; j < kInt8Columns; ++j) {
          double sum = 0;
          for (std::int64_t k = 0; k < columns; ++k) {
            const auto block = static_cast<std::size_t>(k / kInt8Block);
            sum += static_cast<double>(element(a[block], i, k % kInt8Block)) *
                   static_cast<double>(element(b[block], j, k % kInt8Block));
          }
          EXPECT_NEAR(y[static_cast<std::size_t>(i * kInt8Columns + j)], sum, 1e-4);
        }
      }
    }
  });
}

TEST(Int8Kernels, MultiplyToTheBitsOfThePortableOnes) {
  const Int8Table& portable = int8_table(InstructionSet::portable);
  const Shape shape{12, 300}, other{16, 300};
  const auto x = activations(portable, normal(shape.rows * shape.columns, 1), shape, shape.columns);
  const auto w = weights(portable, normal(other.rows * other.columns, 2), other, other.columns);
  for (std::int64_t blocks = 0; blocks <= std::ssize(x); ++blocks) {
    std::vector<float> expected(kInt8Rows * kInt8Columns), found(expected.size());
    portable.multiply(x.data(), w.data(), blocks, expected.data());
    for_all([&](const Int8Table& table) {
      table.multiply(x.data(), w.data(), blocks, found.data());
      EXPECT_EQ(found, expected) << blocks;
    });
  }
}

TEST(Int8Kernels, HoldTheLargestCodesWithoutOverflow) {
  for_all([](const Int8Table& table) {
    for (const float sign : {1.f, -1.f}) {
      constexpr std::int64_t kCount = 128;
      const std::vector<float> x(kInt8Rows * kCount, 1.f), w(kInt8Columns * kCount, sign);
      const auto a = activations(table, x, {kInt8Rows, kCount}, kCount);
      const auto b = weights(table, w, {kInt8Columns, kCount}, kCount);
      std::vector<float> y(kInt8Rows * kInt8Columns);
      table.multiply(a.data(), b.data(), std::ssize(a), y.data());
      for (const float value : y) EXPECT_NEAR(value, sign * kCount, 1e-3);
    }
  });
}

TEST(Int8Kernels, TakeTheLeastNumbersForZeros) {
  for_all([](const Int8Table& table) {
    for (const float value : {0.f, -0.f, 1e-45f, 1e-38f}) {
      const auto packed = weights(table, std::vector<float>(64, value), {1, 64}, 64);
      EXPECT_EQ(packed[0].scales[0], 0.f);
      EXPECT_EQ(packed[0].codes[0][0][0], kInt8Zero);
    }
  });
}

TEST(Int8Kernels, PassOnWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for_all([&](const Int8Table& table) {
    for (const float value : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<float> x(2 * 64, 1.f);
      x[70] = value;  // of row 1
      const auto a = activations(table, x, {2, 64}, 64);
      const auto b = weights(table, std::vector<float>(64, 1.f), {1, 64}, 64);
      std::vector<float> y(kInt8Rows * kInt8Columns);
      table.multiply(a.data(), b.data(), 1, y.data());
      EXPECT_NEAR(y[0], 64.f, 1e-4);
      EXPECT_TRUE(std::isnan(y[kInt8Columns]));
    }
  });
}

}  // namespace
}  // namespace qloft::kernels
