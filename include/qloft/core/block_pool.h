#pragma once
// Blocks of memory that were freed and are handed out again. A loop that drops and makes anew what
// it needs has each page cleared by the system every time; with a pool once.

#include <cstddef>
#include <map>
#include <mutex>
#include <unordered_map>

namespace qloft {

// What it holds, used or not, is never more than what was used at once at some time: blocks of the
// wrong sizes go back before others are asked for. Safe to use from many threads.
class BlockPool {
 public:
  // From where blocks come and to where they go. `allocate` throws where there is no memory.
  struct Source {
    void* (*allocate)(std::size_t bytes);
    void (*free)(void* block);
  };
  explicit BlockPool(Source source) : source_(source) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() { release(); }

  // Of `bytes` or up to an eighth more. Throws what the source throws when nothing is left here.
  void* take(std::size_t bytes);
  // False, and nothing happens, where `block` is not of this pool.
  bool give_back(void* block);
  // Frees all that nobody uses; what may be held is counted anew.
  void release();

  std::size_t used_bytes() const;
  std::size_t free_bytes() const;

 private:
  void* reuse(std::size_t bytes);
  void free_down_to(std::size_t bytes);

  const Source source_;
  mutable std::mutex mutex_;
  std::unordered_map<void*, std::size_t> used_;
  std::multimap<std::size_t, void*> free_;  // by size
  std::size_t used_bytes_ = 0;
  std::size_t free_bytes_ = 0;
  std::size_t most_used_bytes_ = 0;
};

}  // namespace qloft
