// Any model.safetensors.index.json is an index of the shards beside it or an InputError; what it
// names can be read, and lies beside it.

#include <nlohmann/json.hpp>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "support.h"

namespace {

// The header's length, the header, and two values of BF16.
std::string shard(const std::string& tensor) {
  const std::string header =
      R"({")" + tensor + R"(":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}})";
  return std::string{static_cast<char>(header.size())} + std::string(7, '\0') + header +
         std::string(4, '\x3f');
}

const qloft::fuzz::Folder& folder() {
  static const qloft::fuzz::Folder made;
  static const bool written = [] {
    made.write("config.json", "{}");
    made.write("one.safetensors", shard("a"));
    made.write("two.safetensors", shard("b"));
    return true;
  }();
  (void)written;
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  folder().write("model.safetensors.index.json", fuzz::text(data, size));
  try {
    const checkpoint::Checkpoint source(folder().path());
    for (const std::string& name : source.names()) {
      if (name != "a" && name != "b") __builtin_trap();
      if (source.read_matrix(name).values().size() != 2) __builtin_trap();
    }
  } catch (const InputError&) {
  }
  return 0;
}
