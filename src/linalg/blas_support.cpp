// What the joined OpenBLAS object asks back (cmake/OpenBLAS.cmake redirects the names).

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <vector>

#include "blas.h"
#include "qloft/core/cpu.h"
#include "qloft/core/error.h"

namespace qloft::linalg {
namespace {

// What one thread in the BLAS works with; address space only, until it is touched.
constexpr std::size_t kBufferBytes = std::size_t{128} << 20;

std::mutex spare_mutex;
std::vector<void*> spare;

void* map(void* address, std::size_t size, int protection, int flags, int file, off_t offset) {
  if (address == nullptr && file < 0 && size == kBufferBytes) {
    const std::scoped_lock lock(spare_mutex);
    if (!spare.empty()) {
      void* const buffer = spare.back();
      spare.pop_back();
      return buffer;
    }
  }
  return ::mmap(address, size, protection, flags, file, offset);
}

// The kernels for this processor, by OpenBLAS's name for them; null: it shall look itself. It knows
// processors by their model numbers, and takes those of SSE3 for one that is newer than itself.
char* kernels_for_this_processor() {
  static char skylake_x[] = "SkylakeX", haswell[] = "Haswell", zen[] = "Zen";
  switch (supported_instruction_sets().back()) {
    case InstructionSet::avx512:
      return skylake_x;
    case InstructionSet::avx2:
      return __builtin_cpu_is("amd") ? zen : haswell;
    case InstructionSet::portable:
      break;
  }
  return nullptr;
}

}  // namespace

void expect_blas_buffer(int threads) {
  thread_local int done = 0;
  while (done < threads) {
    const std::scoped_lock lock(spare_mutex);
    spare.reserve(spare.size() + 1);
    void* const buffer = ::mmap(nullptr, kBufferBytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (buffer == MAP_FAILED) {
      throw SystemError({},
                        "out of memory: no " + std::to_string(kBufferBytes) +
                            " bytes of address space for a thread's products",
                        errno);
    }
    spare.push_back(buffer);
    ++done;
  }
}

}  // namespace qloft::linalg

extern "C" {

// Gives the BLAS what was set aside for it.
void* qloft_blas_mmap(void* address, std::size_t size, int protection, int flags, int file,
                      off_t offset) {
  return qloft::linalg::map(address, size, protection, flags, file, offset);
}

// OpenBLAS reads its settings when the program starts. Its pool stays empty until svd() wants it,
// and its threads sleep soon after (2^20 cycles), so that they do not spin beside core's threads.
char* qloft_blas_getenv(const char* name) {
  static char one[] = "1";
  static char short_spin[] = "20";
  const std::string_view wanted(name);
  if (wanted == "OPENBLAS_NUM_THREADS") return one;
  if (wanted == "OPENBLAS_THREAD_TIMEOUT") return short_spin;
  char* const set = std::getenv(name);
  if (set == nullptr && wanted == "OPENBLAS_CORETYPE") {
    return qloft::linalg::kernels_for_this_processor();
  }
  return set;
}

// libgfortran's string concatenation, the one thing that LAPACK needs of that library: `to` gets
// first, second and blanks up to its length.
void qloft_blas_concat_string(std::size_t to_length, char* to, std::size_t first_length,
                              const char* first, std::size_t second_length, const char* second) {
  const std::size_t head = std::min(to_length, first_length);
  const std::size_t tail = std::min(to_length - head, second_length);
  std::memcpy(to, first, head);
  std::memcpy(to + head, second, tail);
  std::memset(to + head + tail, ' ', to_length - head - tail);
}

}  // extern "C"
