#include <malloc.h>

#include "qloft/cli.h"

int main(int argc, char** argv) {
#if defined(__GLIBC__)
  // Large tensors go back to the system when they are freed. By default the limit grows with what
  // is freed, and tensors of up to 32 MB leave holes: a training step took three times what it
  // used.
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
#endif
  return qloft::cli::run(argc, argv);
}
