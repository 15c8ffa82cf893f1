#pragma once
// One pool of worker threads for the whole process, and teams of threads beside it.

#include <cstdint>
#include <functional>
#include <memory>

namespace qloft {

// How many threads parallel_for uses, the caller's included: its team's where it has one. The
// default is the number of processors this process may run on.
int thread_count();
// n >= 1; throws InputError otherwise. Call it while no parallel_for runs.
void set_thread_count(int n);

// Calls body(begin, end) on disjoint ranges that cover [0, count), each at most `grain` long, on
// all threads at once; returns when all are done. Ranges depend on `grain` alone, never on the
// number of threads. Nested calls run in the calling thread. The first exception is rethrown.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body);

class ThreadPool;

// While one lives, parallel_for in the thread that made it uses `threads` threads of their own, the
// thread itself among them, and so does not wait for work that others gave to the pool.
class ThreadTeam {
 public:
  // threads >= 1. Throws SystemError where they cannot be started.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  // Whether the calling thread has one.
  static bool here();

 private:
  std::unique_ptr<ThreadPool> pool_;
  ThreadPool* outer_;
};

}  // namespace qloft
