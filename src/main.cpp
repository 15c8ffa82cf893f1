#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "qloft/backend/tensor_memory.h"
#include "qloft/cli.h"

namespace {

// Else the first files that are opened would be standard input, output and error.
void open_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", O_RDWR);
  }
}

// Sanitizers reserve terabytes of addresses, and their own start comes first.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

// What the initializers of the libraries take between the mapping of the last one and main().
constexpr unsigned long kBytesToStart = 64UL << 20;

unsigned long mapped_bytes() {
  char text[32] = {};
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const bool read = ::read(file, text, sizeof text - 1) > 0;
  ::close(file);
  return read ? std::strtoul(text, nullptr, 10) * static_cast<unsigned long>(::getpagesize()) : 0;
}

// Where an initializer of libtorch is refused memory, it aborts.
void expect_address_space(int, char**, char**) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const unsigned long mapped = mapped_bytes();
  if (mapped == 0 || mapped + kBytesToStart <= limit.rlim_cur) return;
  char text[160];
  const int length = std::snprintf(
      text, sizeof text,
      "qloft: out of memory: the limit on address space (ulimit -v) is %lu MB, "
      "starting takes %lu MB\n",
      static_cast<unsigned long>(limit.rlim_cur) >> 20, (mapped + kBytesToStart) >> 20);
  if (::write(STDERR_FILENO, text, static_cast<std::size_t>(length)) < 0) ::_exit(1);
  ::_exit(1);
}

// Runs before the initializers of all libraries.
[[gnu::section(".preinit_array"), gnu::used]] void (*const at_start)(int, char**,
                                                                     char**) = expect_address_space;

#endif

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
#if defined(__GLIBC__)
  // What is larger goes back to the system when it is freed, or to the pool of tensors. By default
  // the limit grows with what is freed, and tensors of up to 32 MB leave holes: a training step
  // took three times what it used.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  // Smaller ones stay: else what a loop drops and makes again is cleared anew every time.
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  qloft::backend::keep_freed_tensors();
#endif
  return qloft::cli::run(argc, argv);
}
