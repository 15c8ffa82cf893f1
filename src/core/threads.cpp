#include "qloft/core/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"

namespace qloft {
namespace {

// Counted once: every parallel_for asks.
int processors_allowed() {
  static const int count = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }();
  return count;
}

thread_local bool inside_parallel_for = false;

// Tells the processor that the thread is waiting in a loop.
inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits a little for `ready` before the caller goes to sleep: waking a thread takes as long as a
// small matrix-vector product, and decoding runs hundreds of these a token. Where another thread or
// process waits for this processor, it gets it soon.
template <typename Ready>
void spin_until(const Ready& ready) {
  constexpr auto kLongest = std::chrono::microseconds(200);
  constexpr auto kUndisturbed = std::chrono::microseconds(10);
  const auto begin = std::chrono::steady_clock::now();
  for (auto waited = begin - begin; waited < kLongest;
       waited = std::chrono::steady_clock::now() - begin) {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return;
      pause();
    }
    if (waited > kUndisturbed) std::this_thread::yield();
  }
}

}  // namespace

class ThreadPool {
 public:
  // The ranges of one parallel_for; workers take the next one until none is left.
  struct Job {
    std::int64_t count;
    std::int64_t grain;
    const std::function<void(std::int64_t, std::int64_t)>* body;
    std::atomic<std::int64_t> next{0};
    std::mutex error_mutex;
    std::exception_ptr error;

    void work() {
      for (;;) {
        const std::int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= count) return;
        try {
          (*body)(begin, std::min(begin + grain, count));
        } catch (...) {
          std::scoped_lock lock(error_mutex);
          if (!error) error = std::current_exception();
          next.store(count, std::memory_order_relaxed);
        }
      }
    }
  };

  explicit ThreadPool(int threads) {
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { run(); });
    } catch (const std::system_error& error) {
      end_workers();
      throw SystemError({{}, "threads"}, "cannot start " + std::to_string(threads) + " threads",
                        error.code().value());
    }
  }
  ~ThreadPool() { end_workers(); }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run_job(Job& job) {
    std::scoped_lock one_job_at_a_time(submit_mutex_);
    {
      std::scoped_lock lock(mutex_);
      job_ = &job;
      ++generation_;
    }
    wake_.notify_all();
    inside_parallel_for = true;
    job.work();
    inside_parallel_for = false;
    // Nothing is left to take: who has not begun need not be waited for, and may be asleep, or
    // without a processor, for longer than the job took.
    {
      std::scoped_lock lock(mutex_);
      job_ = nullptr;
    }
    spin_until([&] { return busy_.load(std::memory_order_relaxed) == 0; });
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void end_workers() {
    {
      std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  void run() {
    inside_parallel_for = true;
    std::uint64_t seen = 0;
    for (;;) {
      Job* job;
      spin_until([&] {
        return stop_.load(std::memory_order_relaxed) ||
               generation_.load(std::memory_order_relaxed) != seen;
      });
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
        if (stop_) return;
        seen = generation_;
        job = job_;
        if (job == nullptr) continue;
        ++busy_;
      }
      job->work();
      std::scoped_lock lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex submit_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  Job* job_ = nullptr;  // as long as something may be left of it
  // Changed under the mutex; read without it while spinning.
  std::atomic<int> busy_ = 0;  // workers inside the job
  std::atomic<std::uint64_t> generation_ = 0;
  std::atomic<bool> stop_ = false;
};

namespace {

thread_local ThreadPool* team = nullptr;

std::mutex pool_mutex;
std::unique_ptr<ThreadPool> pool;
int wanted_threads = 0;  // 0: not set

ThreadPool& current_pool() {
  if (team != nullptr) return *team;
  std::scoped_lock lock(pool_mutex);
  if (!pool) {
    pool = std::make_unique<ThreadPool>(wanted_threads > 0 ? wanted_threads : processors_allowed());
  }
  return *pool;
}

}  // namespace

int thread_count() {
  if (team != nullptr) return team->threads();
  std::scoped_lock lock(pool_mutex);
  return wanted_threads > 0 ? wanted_threads : processors_allowed();
}

void set_thread_count(int n) {
  if (n < 1) throw InputError({{}, "threads"}, "expected at least 1, found " + std::to_string(n));
  std::scoped_lock lock(pool_mutex);
  wanted_threads = n;
  if (pool && pool->threads() != n) pool.reset();
}

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  expect_not_interrupted();
  ThreadPool::Job job{count, std::max<std::int64_t>(1, grain), &body, {}, {}, {}};
  if (inside_parallel_for || count <= job.grain || thread_count() == 1) {
    for (std::int64_t begin = 0; begin < count; begin += job.grain) {
      body(begin, std::min(begin + job.grain, count));
    }
    return;
  }
  current_pool().run_job(job);
  if (job.error) std::rethrow_exception(job.error);
}

ThreadTeam::ThreadTeam(int threads)
    : pool_(std::make_unique<ThreadPool>(threads)), outer_(std::exchange(team, pool_.get())) {}

ThreadTeam::~ThreadTeam() {
  team = outer_;
}

bool ThreadTeam::here() {
  return team != nullptr;
}

}  // namespace qloft
