// Packed matrices unpacked by torch's operators, as on a GPU, here on the CPU.
#include "../../src/backend/torch/packed.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "../../src/backend/operations.h"
#include "gradients.h"
#include "packed_matrix.h"
#include "qloft/backend/tensor.h"

namespace qloft::backend {
namespace {

using at::Tensor;
using test::dequantized;
using test::packed_matrix;

// Every code book at every width, blocks that end within a row, more rows than a trellis has.
TEST(PackedTensors, UnpackToTheSameBitsInEveryFormat) {
  for (const std::string_view name : quant::codebook_names()) {
    const quant::Codebook codebook = *quant::codebook_from_name(name);
    const auto [least, most] = quant::bit_range(codebook);
    for (int bits = least; bits <= most; ++bits) {
      for (const std::int64_t block : {0, 48, 64}) {
        quant::Format format;
        format.bits = bits;
        format.codebook = codebook;
        format.block = block;
        if (name.starts_with("trellis")) format.scale_rule = quant::ScaleRule::mse;
        const auto packed = packed_matrix(300, 96, format);
        const auto tensors = packed_tensors(packed, at::kCPU);
        ASSERT_NE(tensors, nullptr);
        EXPECT_TRUE(unpack(*tensors, at::kFloat).equal(dequantized(packed))) << format.describe();
      }
    }
  }
}

TEST(InEightBits, AreTheBitsOfQuantizingTheMatrixAsAWhole) {
  at::manual_seed(4);
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const Tensor dense = at::randn({9000, 70}).to(type);  // of more than two pieces
    const Weight packed = in_eight_bits({dense});
    ASSERT_TRUE(packed.is_packed());
    quant::Format format;
    format.bits = 8;
    const auto whole = quant::quantize(matrix_of(as_f32(dense)), format);
    EXPECT_TRUE(dequantized(packed.packed()).equal(dequantized(whole)));
  }
}

TEST(PackedTensors, UnpackScalesInASecondLevel) {
  quant::Format format;
  format.bits = 3;
  format.second_level = quant::SecondLevel{};
  const auto packed = packed_matrix(70, 64, format);
  EXPECT_TRUE(unpack(*packed_tensors(packed, at::kCPU), at::kFloat).equal(dequantized(packed)));
}

TEST(PackedTensors, AreNotMadeOfColumnsBeyondTheLastGroup) {
  EXPECT_EQ(packed_tensors(packed_matrix(4, 70, {}), at::kCPU), nullptr);
}

TEST(PackedTensors, MultiplyAsTheMatrixThatTheyAre) {
  at::manual_seed(3);
  const auto packed = std::make_shared<const quant::PackedMatrix>(packed_matrix(40, 64, {}));
  const Weight weight{packed, false, packed_tensors(*packed, at::kCPU)};
  const Tensor x = at::randn({5, 64}), y = at::randn({5, 40}), dense = dequantized(*packed);
  EXPECT_LE(test::distance(kTorchOperations.multiply_transposed(x, weight), x.mm(dense.t())), 1e-5);
  EXPECT_LE(test::distance(kTorchOperations.multiply(y, weight), y.mm(dense)), 1e-5);
}

}  // namespace
}  // namespace qloft::backend
