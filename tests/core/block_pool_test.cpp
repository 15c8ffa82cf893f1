#include "qloft/core/block_pool.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

namespace qloft {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSourceHas = 64 * kPage;

std::size_t given = 0;

void* allocate(std::size_t bytes) {
  if (given + bytes > kSourceHas) throw std::bad_alloc();
  given += bytes;
  auto* block = static_cast<std::size_t*>(std::malloc(bytes));
  *block = bytes;
  return block;
}
void free_block(void* block) {
  given -= *static_cast<std::size_t*>(block);
  std::free(block);
}

class Pool : public ::testing::Test {
 protected:
  void SetUp() override { given = 0; }
  void* take(std::size_t pages) {
    void* block = pool_.take(pages * kPage);
    *static_cast<std::size_t*>(block) = pages * kPage;
    return block;
  }
  BlockPool pool_{{allocate, free_block}};
};

TEST_F(Pool, HandsOutAgainWhatWasGivenBack) {
  void* first = take(10);
  EXPECT_TRUE(pool_.give_back(first));
  EXPECT_EQ(pool_.used_bytes(), 0u);
  EXPECT_EQ(pool_.free_bytes(), 10 * kPage);
  EXPECT_EQ(pool_.take(9 * kPage), first) << "up to an eighth more than asked for";
  EXPECT_EQ(pool_.used_bytes(), 10 * kPage);
  EXPECT_TRUE(pool_.give_back(first));
}

TEST_F(Pool, HoldsNoMoreThanWasUsedAtOnce) {
  const std::vector<void*> blocks = {take(8), take(8), take(8)};
  for (void* block : blocks) pool_.give_back(block);
  EXPECT_EQ(pool_.free_bytes(), 24 * kPage);
  void* other = take(5);  // of no size that is held
  EXPECT_EQ(pool_.free_bytes(), 16 * kPage);
  EXPECT_EQ(given, 21 * kPage);
  pool_.give_back(other);
}

TEST_F(Pool, FreesAllThatNobodyUsesBeforeItGivesUp) {
  pool_.give_back(take(20));
  void* half = take(20);
  pool_.give_back(take(20));
  void* whole = take(40);
  EXPECT_EQ(pool_.free_bytes(), 0u);
  EXPECT_THROW(pool_.take(5 * kPage), std::bad_alloc);
  EXPECT_EQ(pool_.used_bytes(), 60 * kPage);
  pool_.give_back(whole);
  pool_.give_back(half);
}

TEST_F(Pool, KnowsABlockThatIsNotItsOwn) {
  int other = 0;
  EXPECT_FALSE(pool_.give_back(&other));
}

TEST_F(Pool, ReleasesWhatNobodyUses) {
  void* used = take(3);
  pool_.give_back(take(20));
  pool_.release();
  EXPECT_EQ(given, 3 * kPage);
  pool_.give_back(take(4));
  EXPECT_LE(given, 7 * kPage) << "what may be held is counted from the release on";
  pool_.give_back(used);
}

TEST(BlockPool, IsSafeToUseFromManyThreads) {
  BlockPool pool({std::malloc, std::free});
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&pool, thread] {
      for (std::size_t i = 0; i < 500; ++i) {
        const std::size_t bytes = (1 + (i * 7 + static_cast<std::size_t>(thread)) % 9) * kPage;
        auto* block = static_cast<unsigned char*>(pool.take(bytes));
        block[0] = block[bytes - 1] = static_cast<unsigned char>(thread);
        EXPECT_EQ(block[0], thread);
        EXPECT_EQ(block[bytes - 1], thread);
        EXPECT_TRUE(pool.give_back(block));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.used_bytes(), 0u);
}

}  // namespace
}  // namespace qloft
