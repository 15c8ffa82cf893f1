// Any file is sound or an InputError; each tensor of a sound one lies within the file.

#include "qloft/core/error.h"
#include "qloft/io.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  const fuzz::MemoryFile input(fuzz::text(data, size));
  unsigned sum = 0;
  try {
    const io::SafetensorsFile file(input.path());
    for (const io::TensorInfo& tensor : file.tensors()) {
      for (const std::byte byte : file.bytes(tensor)) sum += static_cast<unsigned>(byte);
      if (file.find(tensor.name) != &tensor) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  volatile unsigned keep = sum;
  (void)keep;
  return 0;
}
