#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "qloft/cli.h"

namespace {

// Else the first files that are opened would be standard input, output and error.
void open_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream) {
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", O_RDWR);
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
#if defined(__GLIBC__)
  // Large tensors go back to the system when they are freed. By default the limit grows with what
  // is freed, and tensors of up to 32 MB leave holes: a training step took three times what it
  // used.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
#endif
  return qloft::cli::run(argc, argv);
}
