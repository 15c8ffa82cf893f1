// Any file is sound or an InputError; each tensor of a sound one lies within the file.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "qloft/core/error.h"
#include "qloft/io.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  const int descriptor = ::memfd_create("input", 0);
  if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) return -1;
  unsigned sum = 0;
  try {
    const io::SafetensorsFile file("/proc/self/fd/" + std::to_string(descriptor));
    for (const io::TensorInfo& tensor : file.tensors()) {
      for (const std::byte byte : file.bytes(tensor)) sum += static_cast<unsigned>(byte);
      if (file.find(tensor.name) != &tensor) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  ::close(descriptor);
  volatile unsigned keep = sum;
  (void)keep;
  return 0;
}
