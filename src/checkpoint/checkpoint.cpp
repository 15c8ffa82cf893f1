#include "qloft/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "qloft/core/error.h"

namespace qloft::checkpoint {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

io::Json read_config(const fs::path& folder) {
  std::error_code error;
  const fs::path file = folder / "config.json";
  if (!fs::is_directory(folder, error)) throw InputError({folder, {}}, "no such folder");
  if (!fs::exists(file, error)) {
    if (fs::exists(folder / "adapter_config.json", error)) {
      throw InputError({folder, {}},
                       "expected a model, found an adapter; name its base model here and the "
                       "adapter by --adapter");
    }
    throw InputError({folder, {}}, "expected a model folder with a config.json, found none");
  }
  io::Json config = io::read_json(file);
  if (!config.is_object()) {
    throw InputError({file, {}}, std::string("expected an object, found ") + config.type_name());
  }
  return config;
}

// What the folder holds in place of safetensors, for the message.
[[noreturn]] void throw_no_weights(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string extension = it->path().extension().string();
    for (const char* known : {".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack"}) {
      if (extension != known) continue;
      throw InputError({folder, {}}, "expected model.safetensors or its index, found only " +
                                         it->path().filename().string() + ": " + known +
                                         " files are not read, convert them to safetensors");
    }
  }
  throw InputError({folder, {}},
                   "expected model.safetensors or model.safetensors.index.json, found neither");
}

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// Tensor name and shard of every entry of the index, checked for form only.
std::vector<std::pair<std::string, std::string>> read_index(const fs::path& file) {
  const io::Json index = io::read_json(file);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object()) {
    throw InputError({file, "weight_map"}, "expected an object of tensor names and file names");
  }
  std::vector<std::pair<std::string, std::string>> entries;
  for (const auto& [name, shard] : map->items()) {
    const ErrorLocation where{file, "weight_map." + name};
    if (!shard.is_string()) {
      throw InputError(where, std::string("expected a file name, found ") + shard.type_name());
    }
    const auto& shard_name = shard.get_ref<const std::string&>();
    if (!is_plain_file_name(shard_name)) {
      throw InputError(where,
                       "expected the name of a file in the same folder, found " + shard_name);
    }
    entries.emplace_back(name, shard_name);
  }
  return entries;
}

}  // namespace

Checkpoint Checkpoint::without_tensors(fs::path folder) {
  Checkpoint out;
  out.config_ = std::make_shared<const io::Json>(read_config(folder));
  out.folder_ = std::move(folder);
  return out;
}

Checkpoint::Checkpoint(fs::path folder) : folder_(std::move(folder)) {
  config_ = std::make_shared<const io::Json>(read_config(folder_));
  std::error_code error;
  const fs::path index_file = folder_ / kIndexFile;
  if (fs::exists(folder_ / kSingleFile, error)) {
    files_.emplace_back(folder_ / kSingleFile);
    for (const io::TensorInfo& info : files_[0].tensors()) entries_[info.name] = {0, &info};
    return;
  }
  if (!fs::exists(index_file, error)) throw_no_weights(folder_);

  std::map<std::string, std::size_t> shards;
  for (const auto& [name, shard] : read_index(index_file)) {
    const auto [it, is_new] = shards.emplace(shard, files_.size());
    if (is_new) {
      if (!fs::exists(folder_ / shard, error)) {
        throw InputError({index_file, "weight_map." + name},
                         "expected the file " + shard + " beside the index, found none");
      }
      files_.emplace_back(folder_ / shard);
    }
    const io::TensorInfo* info = files_[it->second].find(name);
    if (info == nullptr) {
      throw InputError({folder_ / shard, name},
                       "expected this tensor, as the index says, found none");
    }
    entries_[name] = {it->second, info};
  }
  // Tensors that the index forgets count as well, as transformers loads whole shards.
  for (std::size_t i = 0; i < files_.size(); ++i) {
    for (const io::TensorInfo& info : files_[i].tensors()) {
      entries_.emplace(info.name, Entry{i, &info});
    }
  }
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> out;
  out.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) out.push_back(name);
  return out;
}

bool Checkpoint::contains(std::string_view name) const {
  return entries_.find(name) != entries_.end();
}

const Checkpoint::Entry& Checkpoint::entry(std::string_view name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) throw InputError({folder_, std::string(name)}, "no such tensor");
  return it->second;
}

const io::TensorInfo& Checkpoint::info(std::string_view name) const {
  return *entry(name).info;
}

std::span<const std::byte> Checkpoint::bytes(std::string_view name) const {
  const Entry& at = entry(name);
  return files_[at.file].bytes(*at.info);
}

Matrix Checkpoint::read_matrix(std::string_view name) const {
  const Entry& at = entry(name);
  const ErrorLocation where{files_[at.file].path(), std::string(name)};
  const std::vector<std::int64_t>& shape = at.info->shape;
  if (shape.empty() || shape.size() > 2) {
    throw InputError(where, "expected 1 or 2 dimensions, found " + std::to_string(shape.size()));
  }
  const ElementType type = at.info->type;
  if (type != ElementType::f32 && type != ElementType::f16 && type != ElementType::bf16) {
    throw InputError(where, "expected elements of type F32, F16 or BF16, found " +
                                std::string(safetensors_name(type)));
  }
  Matrix matrix(shape.size() == 2 ? shape[0] : 1, shape.back());
  convert_to_f32(files_[at.file].bytes(*at.info), type, matrix.values());
  return matrix;
}

void Checkpoint::drop(std::string_view name) const {
  const Entry& at = entry(name);
  files_[at.file].drop(*at.info);
}

}  // namespace qloft::checkpoint
