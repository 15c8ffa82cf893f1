#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"

namespace qloft::checkpoint {
namespace fs = std::filesystem;
namespace {

constexpr const char* kJournalFile = ".written";

// Which tensors go to which shard, in order: each shard is filled up to `limit`.
std::vector<std::vector<io::TensorInfo>> cut(std::vector<io::TensorInfo> tensors,
                                             std::uint64_t limit) {
  std::vector<std::vector<io::TensorInfo>> shards(1);
  std::uint64_t used = 0;
  for (io::TensorInfo& info : tensors) {
    const std::uint64_t bytes = info.bytes();
    if (used > 0 && used + bytes > limit) {
      shards.emplace_back();
      used = 0;
    }
    used += bytes;
    shards.back().push_back(std::move(info));
  }
  return shards;
}

std::string shard_name(std::size_t index, std::size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name;
}

}  // namespace

struct Writer::State {
  fs::path folder;
  std::vector<io::SafetensorsWriter> shards;
  std::vector<std::string> shard_names;
  std::map<std::string, std::size_t, std::less<>> shard_of;
  std::set<std::string, std::less<>> written;
  std::vector<std::string> unjournaled;  // written, but not in the journal yet
  std::set<std::size_t> dirty;           // shards with writes that were not flushed
  std::uint64_t total_bytes = 0;

  fs::path journal() const { return folder / kJournalFile; }
  bool open(const std::vector<std::vector<io::TensorInfo>>& cuts, io::SafetensorsWriter::Mode mode);
  void read_journal();
};

// False where the shards on disk are not those of these tensors.
bool Writer::State::open(const std::vector<std::vector<io::TensorInfo>>& cuts,
                         io::SafetensorsWriter::Mode mode) {
  shards.clear();
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    try {
      shards.emplace_back(folder / shard_names[i], cuts[i],
                          std::map<std::string, std::string>{{"format", "pt"}}, mode);
    } catch (const InputError&) {
      if (mode == io::SafetensorsWriter::Mode::create) throw;
      return false;
    }
  }
  return true;
}

// One JSON string a line. A last line that a crash cut short is passed over: its tensor is written
// again.
void Writer::State::read_journal() {
  const std::string text = read_file(journal());
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const io::Json name =
        io::Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                        text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!name.is_string()) continue;
    const auto& value = name.get_ref<const std::string&>();
    if (shard_of.contains(value)) written.insert(value);
  }
  if (begin < text.size()) append_to_disk(journal(), "\n");
}

Writer::Writer(fs::path folder, std::vector<io::TensorInfo> tensors, Mode mode,
               std::uint64_t shard_bytes)
    : state_(std::make_unique<State>()) {
  state_->folder = std::move(folder);
  const auto cuts = cut(std::move(tensors), shard_bytes);
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    state_->shard_names.push_back(shard_name(i, cuts.size()));
    for (const io::TensorInfo& info : cuts[i]) {
      if (!state_->shard_of.emplace(info.name, i).second) {
        throw Error({state_->folder, info.name}, "this name is taken");
      }
      state_->total_bytes += info.bytes();
    }
  }
  std::error_code error;
  if (mode == Mode::resume && fs::exists(state_->journal(), error) &&
      state_->open(cuts, io::SafetensorsWriter::Mode::reopen)) {
    state_->read_journal();
    return;
  }
  fs::remove(state_->journal(), error);
  state_->open(cuts, io::SafetensorsWriter::Mode::create);
  for (io::SafetensorsWriter& shard : state_->shards) shard.flush();
  append_to_disk(state_->journal(), "");
  flush_to_disk(state_->folder);
}

Writer::~Writer() = default;
Writer::Writer(Writer&&) noexcept = default;

bool Writer::written(std::string_view name) const {
  return state_->written.contains(name);
}

void Writer::write(std::string_view name, std::span<const std::byte> bytes) {
  const auto it = state_->shard_of.find(name);
  if (it == state_->shard_of.end()) {
    throw Error({state_->folder, std::string(name)}, "the checkpoint has no such tensor");
  }
  state_->shards[it->second].write(name, bytes);
  state_->dirty.insert(it->second);
  if (state_->written.emplace(name).second) state_->unjournaled.emplace_back(name);
}

void Writer::checkpoint() {
  for (const std::size_t shard : state_->dirty) state_->shards[shard].flush();
  state_->dirty.clear();
  std::string lines;
  for (const std::string& name : state_->unjournaled) lines += io::Json(name).dump() + "\n";
  if (!lines.empty()) append_to_disk(state_->journal(), lines);
  state_->unjournaled.clear();
}

void Writer::finish() {
  for (const auto& [name, shard] : state_->shard_of) {
    if (!written(name)) throw Error({state_->folder, name}, "this tensor was never written");
  }
  checkpoint();
  if (state_->shards.size() > 1) {
    io::Json index;
    index["metadata"]["total_size"] = state_->total_bytes;
    io::Json map = io::Json::object();
    auto& members = map.get_ref<io::Json::object_t&>();
    for (const auto& [name, shard] : state_->shard_of) {
      members.emplace_back(name, state_->shard_names[shard]);
    }
    index["weight_map"] = std::move(map);
    io::write_json(state_->folder / "model.safetensors.index.json", index);
  }
  std::error_code error;
  fs::remove(state_->journal(), error);
  if (error) {
    throw SystemError({state_->journal(), {}}, "cannot remove the journal", error.value());
  }
  flush_to_disk(state_->folder);
}

namespace {

bool copy_files(const fs::path& from, const fs::path& to,
                std::initializer_list<const char*> names) {
  bool copied = false;
  std::error_code error;
  for (const char* name : names) {
    if (!fs::is_regular_file(from / name, error)) continue;
    copy_file_whole(from / name, to / name);
    copied = true;
  }
  return copied;
}

}  // namespace

bool copy_tokenizer(const fs::path& from, const fs::path& to) {
  return copy_files(from, to,
                    {"tokenizer.json", "tokenizer.model", "spiece.model", "spm.model",
                     "sentencepiece.bpe.model", "vocab.txt", "tokenizer_config.json",
                     "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"});
}

bool copy_chat_templates(const fs::path& from, const fs::path& to) {
  static constexpr const char* kFurther = "additional_chat_templates";
  bool copied = copy_files(from, to, {"chat_template.jinja", "chat_template.json"});
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from / kFurther, error)) {
    if (entry.path().extension() != ".jinja" || !entry.is_regular_file(error)) continue;
    make_folders(to / kFurther);
    copy_file_whole(entry.path(), to / kFurther / entry.path().filename());
    copied = true;
  }
  return copied;
}

bool copy_generation_config(const fs::path& from, const fs::path& to) {
  return copy_files(from, to, {"generation_config.json"});
}

void copy_companions(const fs::path& from, const fs::path& to) {
  copy_tokenizer(from, to);
  copy_chat_templates(from, to);
  copy_generation_config(from, to);
}

}  // namespace qloft::checkpoint
