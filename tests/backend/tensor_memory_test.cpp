#include "qloft/backend/tensor_memory.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "qloft/core/memory.h"

namespace qloft::backend {
namespace {

TEST(TensorMemory, OfAFreedTensorIsTheNextOnesOfItsSize) {
  keep_freed_tensors();
  at::Tensor tensor = at::empty({1 << 20});
  const void* memory = tensor.data_ptr();
  tensor.reset();
  EXPECT_EQ(at::empty({1 << 20}).data_ptr(), memory);
}

TEST(TensorMemory, IsTheSystemsAgainOnceItIsReturned) {
  keep_freed_tensors();
  at::empty({64 << 20}).fill_(1);  // 256 MiB
  const std::uint64_t held = resident_bytes();
  return_freed_tensors();
  EXPECT_LT(resident_bytes() + (200u << 20), held);
}

TEST(TensorMemory, OfATensorMadeBeforeIsFreedAsItWasMade) {
  at::Tensor before = at::full({1 << 20}, 3.0);
  keep_freed_tensors();
  before.resize_({2 << 20});  // frees the old memory
  EXPECT_EQ(before[(1 << 20) - 1].item<float>(), 3);
}

}  // namespace
}  // namespace qloft::backend
