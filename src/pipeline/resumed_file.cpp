#include "resumed_file.h"

#include "qloft/core/error.h"
#include "qloft/core/file.h"

namespace qloft::pipeline {

io::SafetensorsWriter reopen_or_create(OutputFolder& folder, const char* name,
                                       const std::vector<io::TensorInfo>& tensors,
                                       const std::map<std::string, std::string>& metadata) {
  using io::SafetensorsWriter;
  const std::filesystem::path file = folder.path() / name;
  try {
    if (folder.resumes()) return {file, tensors, metadata, SafetensorsWriter::Mode::reopen};
  } catch (const InputError&) {
    folder.start_afresh();
  }
  SafetensorsWriter writer(file, tensors, metadata, SafetensorsWriter::Mode::create);
  writer.flush();
  flush_to_disk(folder.path());
  return writer;
}

}  // namespace qloft::pipeline
