#pragma once
// io: named, typed byte ranges in files. Every length is checked against the file before it is
// believed. Knows no model.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/core/element.h"

namespace qloft::io {

using Json = nlohmann::ordered_json;

// ------------------------------------------------------------------------------- JSON

// Parses strictly (UTF-8, no comments, at most 256 levels deep). Throws InputError that names the
// file (and the line, counted from `first_line`) and what the parser expected.
Json parse_json(std::string_view text, const std::filesystem::path& file,
                std::int64_t first_line = 1);
Json read_json(const std::filesystem::path& file);
// Written through an AtomicFile, indented by two spaces, with a final newline.
void write_json(const std::filesystem::path& file, const Json& value);

// ------------------------------------------------------------------------ memory-mapped files

// A read-only mapping of a whole regular file; an empty file maps to an empty span.
class MappedFile {
 public:
  // Throws InputError if the file is missing or not regular.
  explicit MappedFile(std::filesystem::path path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  // Tells the system that `range` (a part of bytes()) is not needed soon: it leaves resident
  // memory.
  void drop(std::span<const std::byte> range) const;

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

// ------------------------------------------------------------------------------- safetensors

struct TensorInfo {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;  // no negative entry; empty: a scalar
  std::uint64_t offset = 0;         // of the first byte in the data section

  std::int64_t element_count() const;
  std::uint64_t bytes() const;
};

// One .safetensors file, mapped. The constructor checks the whole header: its length against the
// file (and 100 MB), types, shapes without overflow, offsets that tile the data section without a
// gap or an overlap, no duplicate names. Throws InputError naming file and tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in file order
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorInfo* find(std::string_view name) const;  // nullptr: no such tensor
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;
  // Lets the system take the tensor's pages back.
  void drop(const TensorInfo& tensor) const;

 private:
  MappedFile file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
  std::span<const std::byte> data_;
};

// Writes a .safetensors file whose tensors are all known beforehand but are written in any order,
// each at its place. Offsets are assigned by falling element size and then in the given order, so
// that every tensor is aligned to its type. The whole file's room is taken at once: a full disk is
// a SystemError before any work is lost. The file is not renamed: it is meant for an OutputFolder.
// `reopen` continues a file that an interrupted run left behind.
class SafetensorsWriter {
 public:
  enum class Mode { create, reopen };
  // Reopen throws InputError if the header on disk is not the one that these tensors give.
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                    std::map<std::string, std::string> metadata, Mode mode = Mode::create);
  ~SafetensorsWriter();
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  SafetensorsWriter& operator=(SafetensorsWriter&&) noexcept;

  const std::filesystem::path& path() const;
  // bytes.size() must be the tensor's. Throws SystemError where the disk refuses.
  void write(std::string_view name, std::span<const std::byte> bytes);
  // Some of them, from `offset` within the tensor on.
  void write_at(std::string_view name, std::uint64_t offset, std::span<const std::byte> bytes);
  // Flushes what was written to the disk.
  void flush();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A whole small file at once, through an AtomicFile.
struct NamedBytes {
  TensorInfo info;  // offset is ignored
  std::span<const std::byte> bytes;
};
void write_safetensors(const std::filesystem::path& path, std::span<const NamedBytes> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace qloft::io
