#include "qloft/core/heap.h"

#include <malloc.h>

namespace qloft {

void return_freed_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace qloft
