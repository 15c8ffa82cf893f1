// Any bytes are the settings of a generation_config.json, and options that can be made of these, or
// an InputError.

#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/generate/settings.h"
#include "support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qloft;
  static const fuzz::Folder folder;
  folder.write("generation_config.json", fuzz::text(data, size));
  try {
    const generate::Settings settings = generate::read_settings(folder.path());
    const generate::Options options = generate::options_of(settings);
    if (options.beams.num_beams < 1 || options.sampling.temperature < 0) __builtin_trap();
    if (generate::max_tokens_of(settings, /*prompt=*/1, /*otherwise=*/128) < 0) __builtin_trap();
  } catch (const InputError&) {
  }
  return 0;
}
