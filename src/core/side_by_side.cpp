#include "qloft/core/side_by_side.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "qloft/core/error.h"
#include "qloft/core/interrupt.h"
#include "qloft/core/threads.h"

namespace qloft {
namespace {

// How often the waiting caller asks whether to stop.
constexpr auto kLookEvery = std::chrono::milliseconds(50);

// What the teams ask instead of the caller's Progress, which is for one thread at a time.
class Relay : public Progress {
 public:
  bool stop_requested() const override { return stop_; }
  void ask(const Progress& progress) {
    if (progress.stop_requested()) stop_ = true;
  }

 private:
  std::atomic<bool> stop_ = false;
};

// What the teams and the caller share.
class Queue {
 public:
  Queue(std::int64_t count, std::int64_t ahead) : count_(count), ahead_(ahead) {}

  Relay relay;

  // A team has its threads, or could not start them.
  void ready(bool started) {
    const std::scoped_lock lock(mutex_);
    ++ready_;
    if (!started) ended_ = true;
    changed_.notify_all();
  }

  // Waits for all teams; false where one could not start. Only then pieces are given away.
  bool begin(int teams) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_ == teams; });
    begun_ = !ended_;
    changed_.notify_all();
    return begun_;
  }

  // The next piece for a team, when the caller is near enough; -1 where there is none.
  std::int64_t take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] {
      return ended_ || (begun_ && (next_ >= count_ || next_ < finished_ + ahead_));
    });
    return ended_ || next_ >= count_ ? -1 : next_++;
  }

  // `error` is null where the piece went well.
  void done(std::int64_t piece, std::exception_ptr error) {
    const std::scoped_lock lock(mutex_);
    if (error) ended_ = true;
    done_[piece] = std::move(error);
    changed_.notify_all();
  }

  // Waits for this piece and rethrows its error.
  void wait_for(std::int64_t piece, const Progress& progress) {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kLookEvery, [&] { return done_.contains(piece); })) {
      relay.ask(progress);
    }
    if (const std::exception_ptr error = done_.extract(piece).mapped()) {
      std::rethrow_exception(error);
    }
  }

  void finished(std::int64_t piece) {
    const std::scoped_lock lock(mutex_);
    finished_ = piece + 1;
    changed_.notify_all();
  }

  void end() {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

 private:
  const std::int64_t count_;
  const std::int64_t ahead_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t next_ = 0;
  std::int64_t finished_ = 0;
  int ready_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  std::map<std::int64_t, std::exception_ptr> done_;
};

// The threads of all teams; they are waited for when it goes.
class Teams {
 public:
  Teams(int teams, Queue& queue, const std::function<void(std::int64_t)>& work) : queue_(queue) {
    const int threads = thread_count();
    try {
      for (int i = 0; i < teams; ++i) {
        const int share = threads / teams + (i < threads % teams ? 1 : 0);
        threads_.emplace_back([this, share, &work] { run(share, work); });
      }
    } catch (const std::system_error&) {
      refuse(threads);
    }
    if (!queue_.begin(teams)) refuse(threads);
  }
  ~Teams() { end(); }
  Teams(const Teams&) = delete;
  Teams& operator=(const Teams&) = delete;

 private:
  void run(int share, const std::function<void(std::int64_t)>& work) {
    std::unique_ptr<ThreadTeam> team;
    try {
      team = std::make_unique<ThreadTeam>(share);
    } catch (const SystemError&) {
      return queue_.ready(false);
    }
    queue_.ready(true);
    const Interruptible interruptible(queue_.relay);
    for (std::int64_t i = queue_.take(); i >= 0; i = queue_.take()) {
      try {
        work(i);
        queue_.done(i, nullptr);
      } catch (...) {
        queue_.done(i, std::current_exception());
      }
    }
  }

  [[noreturn]] void refuse(int threads) {
    end();
    throw SystemError({{}, "threads"}, "cannot start " + std::to_string(threads) + " threads",
                      EAGAIN);
  }

  void end() {
    queue_.end();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  Queue& queue_;
  std::vector<std::thread> threads_;
};

}  // namespace

void side_by_side(std::int64_t count, int teams, const Progress& progress,
                  const std::function<void(std::int64_t)>& work,
                  const std::function<void(std::int64_t)>& finish) {
  teams = static_cast<int>(std::min<std::int64_t>({teams, thread_count(), count}));
  if (teams <= 1) {
    for (std::int64_t i = 0; i < count; ++i) {
      {
        const Interruptible interruptible(progress);
        work(i);
      }
      finish(i);
    }
    return;
  }
  Queue queue(count, 2 * static_cast<std::int64_t>(teams));
  const Teams running(teams, queue, work);
  for (std::int64_t i = 0; i < count; ++i) {
    queue.wait_for(i, progress);
    finish(i);
    queue.finished(i);
  }
}

}  // namespace qloft
