#pragma once
// checkpoint: a model folder in Hugging Face layout as a source of lazily read named tensors, and a
// streaming writer of one. Knows names, not architectures.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/matrix.h"
#include "qloft/io.h"

namespace qloft::checkpoint {

// The folder that MODEL names: a folder, or a hub name "org/name" in the local hub cache
// ($HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub). Throws InputError that says where it
// looked and, for a mistyped path, the nearest name.
std::filesystem::path resolve(const std::string& model);

// model.safetensors, or the shards that model.safetensors.index.json names, mapped.
class Checkpoint {
 public:
  explicit Checkpoint(std::filesystem::path folder);
  // A folder that need hold no weights, whose config.json and its companions alone count.
  static Checkpoint without_tensors(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  const io::Json& config() const { return *config_; }  // config.json

  // Every tensor of every shard, sorted by name.
  std::vector<std::string> names() const;
  bool contains(std::string_view name) const;
  // Throws InputError naming folder and tensor if there is none.
  const io::TensorInfo& info(std::string_view name) const;
  // The stored bytes, mapped, no copy.
  std::span<const std::byte> bytes(std::string_view name) const;
  // A tensor of rank 1 (as one row) or 2 as f32, from F32, F16 or BF16. Throws on another type or
  // rank.
  Matrix read_matrix(std::string_view name) const;
  // Lets the system take the tensor's pages back.
  void drop(std::string_view name) const;

 private:
  Checkpoint() = default;

  struct Entry {
    std::size_t file;
    const io::TensorInfo* info;
  };
  const Entry& entry(std::string_view name) const;

  std::filesystem::path folder_;
  std::shared_ptr<const io::Json> config_;
  std::vector<io::SafetensorsFile> files_;
  std::map<std::string, Entry, std::less<>> entries_;
};

// Elements of f32, f16, bf16 or f8 as f32. values.size() * byte_size(type) == bytes.size().
void convert_to_f32(std::span<const std::byte> bytes, ElementType type, std::span<float> values);
// The other way, rounded to nearest even.
std::vector<std::byte> convert_from_f32(std::span<const float> values, ElementType type);

// Cuts tensors into shards of at most `shard_bytes` in the given order and writes
// model.safetensors, or model-0000k-of-0000n.safetensors with model.safetensors.index.json.
// Tensors may be written in any order. A journal (".written") beside the shards lists the ones that
// are safely on the disk; with Mode::resume they are reported by written() and need not be written
// again; where the shards on disk are not those of these tensors, it begins anew.
class Writer {
 public:
  enum class Mode { create, resume };
  Writer(std::filesystem::path folder, std::vector<io::TensorInfo> tensors, Mode mode,
         std::uint64_t shard_bytes = 5'000'000'000);
  ~Writer();
  Writer(Writer&&) noexcept;

  bool written(std::string_view name) const;
  void write(std::string_view name, std::span<const std::byte> bytes);
  // Flushes and enters all tensors written so far into the journal.
  void checkpoint();
  // Throws Error if a tensor was never written; writes the index; removes the journal.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Files that make a folder usable besides its weights and config.json; README-like files are left
// out, missing ones passed over. True where there was one.
bool copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to);
bool copy_chat_templates(const std::filesystem::path& from, const std::filesystem::path& to);
bool copy_generation_config(const std::filesystem::path& from, const std::filesystem::path& to);
// All of them.
void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace qloft::checkpoint
