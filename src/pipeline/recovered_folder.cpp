#include "recovered_folder.h"

#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "output_names.h"
#include "qloft/checkpoint.h"
#include "qloft/core/file.h"
#include "training_output.h"
#include "work_folder.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

constexpr const char* kBlockLogs = "blocks";

// Bytes of tensors by their stored names.
struct Trained {
  std::map<std::string, at::Tensor> vectors;  // f32
  std::map<std::string, std::span<const std::byte>> parts;

  bool empty() const { return vectors.empty() && parts.empty(); }
};

// What the adapter's own files are, and what a run writes of itself.
bool is_replaced(const fs::path& name) {
  const std::string file = name.filename().string();
  if (name.parent_path() == kAdapterFolder) {
    return file == "adapter_config.json" || file == "adapter_model.safetensors";
  }
  return name == "config.json" || name == "metrics.jsonl" || *name.begin() == kBlockLogs ||
         *name.begin() == kTrainingFolder || file.starts_with("events.out.tfevents.") ||
         name == kLockFile;
}

bool holds_weights(const fs::path& name) {
  const std::string file = name.filename().string();
  return name.parent_path().empty() && file.starts_with("model") &&
         (file.ends_with(".safetensors") || file.ends_with(".safetensors.index.json"));
}

Trained trained_in(const quantized::ModelFiles& files, const model::Model& model,
                   const std::vector<architecture::ParameterId>& vectors) {
  Trained out;
  const auto weights = model.dense_weights();
  const std::map<std::string, at::Tensor> by_name(weights.begin(), weights.end());
  for (const architecture::ParameterId id : vectors) {
    const std::string& name = files.layout().parameter(id).name;
    out.vectors[files.tensors(id).front()] = by_name.at(name).detach().cpu().contiguous();
  }
  for (const auto& [id, matrix] : model.rescaled_weights()) {
    const std::vector<std::string> names = files.tensors(id);
    for (std::size_t i = 0; i < names.size(); ++i) out.parts[names[i]] = matrix->bytes(i);
  }
  return out;
}

std::span<const std::byte> bytes_of(const std::string& name, const Trained& trained,
                                    const checkpoint::Checkpoint& source) {
  if (const auto part = trained.parts.find(name); part != trained.parts.end()) return part->second;
  const auto vector = trained.vectors.find(name);
  if (vector == trained.vectors.end()) return source.bytes(name);
  return {static_cast<const std::byte*>(vector->second.data_ptr()), vector->second.nbytes()};
}

void write_weights(const checkpoint::Checkpoint& source, const Trained& trained,
                   const fs::path& folder) {
  std::vector<io::TensorInfo> tensors;
  for (const std::string& name : source.names()) {
    tensors.push_back(source.info(name));
    if (trained.vectors.contains(name)) tensors.back().type = ElementType::f32;
  }
  const fs::path beside = folder / "weights.partial";
  remove_whole(beside);
  make_folders(beside);
  checkpoint::Writer writer(beside, tensors, checkpoint::Writer::Mode::create);
  for (const io::TensorInfo& tensor : tensors) {
    writer.write(tensor.name, bytes_of(tensor.name, trained, source));
    source.drop(tensor.name);
  }
  writer.finish();
  for (const auto& entry : fs::directory_iterator(beside)) {
    rename_whole(entry.path(), folder / entry.path().filename());
  }
  remove_whole(beside);
}

// Links files of tensors, which nothing writes to in place; a small one is worth no link.
void link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (from.extension() == ".safetensors") {
    remove_whole(to);
    fs::create_hard_link(fs::canonical(from, error), to, error);
    if (!error) return;
  }
  copy_file_whole(from, to);
}

void take_over(const fs::path& from, const fs::path& to, bool with_weights) {
  for (const auto& entry : fs::recursive_directory_iterator(from)) {
    const fs::path name = entry.path().lexically_relative(from);
    if (is_replaced(name) || (!with_weights && holds_weights(name))) continue;
    if (entry.is_directory()) {
      make_folders(to / name);
    } else if (entry.is_regular_file()) {
      link_or_copy(entry.path(), to / name);
    }
  }
}

}  // namespace

void write_recovered(const quantized::ModelFiles& files, const model::Model& model,
                     const std::vector<architecture::ParameterId>& vectors,
                     const fs::path& folder) {
  const Trained trained = trained_in(files, model, vectors);
  take_over(files.folder(), folder, trained.empty());
  if (!trained.empty()) write_weights(files.source(), trained, folder);
}

}  // namespace qloft::pipeline
