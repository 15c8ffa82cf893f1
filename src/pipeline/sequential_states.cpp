#include "sequential_states.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "qloft/io.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

using at::Tensor;
using States = calibrate::SequentialInputs::States;

constexpr const char* kFile = "states.safetensors";
constexpr const char* kBlock = "block";
constexpr const char* kFull = "full.";
constexpr const char* kQuantized = "quantized.";

io::TensorInfo info_of(const std::string& name, const Tensor& state) {
  io::TensorInfo out;
  out.name = name;
  out.type = state.scalar_type() == at::kFloat ? ElementType::f32 : ElementType::bf16;
  out.shape.assign(state.sizes().begin(), state.sizes().end());
  return out;
}

void add(const std::string& prefix, const std::vector<Tensor>& states,
         std::vector<io::NamedBytes>& tensors) {
  for (std::size_t i = 0; i < states.size(); ++i) {
    tensors.push_back(
        {info_of(prefix + std::to_string(i), states[i]),
         {static_cast<const std::byte*>(states[i].const_data_ptr()), states[i].nbytes()}});
  }
}

// False where one is missing or of another type or shape than in `like`.
bool read(const io::SafetensorsFile& file, const std::string& prefix,
          const std::vector<Tensor>& like, std::vector<Tensor>& out) {
  for (std::size_t i = 0; i < like.size(); ++i) {
    const io::TensorInfo wanted = info_of(prefix + std::to_string(i), like[i]);
    const io::TensorInfo* found = file.find(wanted.name);
    const bool fits =
        found != nullptr && found->type == wanted.type && found->shape == wanted.shape;
    if (!fits) return false;
    Tensor state = at::empty_like(like[i]);
    std::ranges::copy(file.bytes(*found), static_cast<std::byte*>(state.mutable_data_ptr()));
    out.push_back(std::move(state));
  }
  return true;
}

}  // namespace

void write_states(const fs::path& folder, const States& states) {
  std::vector<io::NamedBytes> tensors;
  add(kFull, states.full, tensors);
  add(kQuantized, states.quantized, tensors);
  io::write_safetensors(folder / kFile, tensors, {{kBlock, std::to_string(states.block)}});
}

void remove_states(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / kFile, error);
  if (error) throw SystemError({folder / kFile, {}}, "cannot be removed", error.value());
}

std::optional<States> read_states(const fs::path& folder, const States& like) {
  const fs::path file = folder / kFile;
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  const io::SafetensorsFile stored(file);
  States out;
  const auto block = stored.metadata().find(kBlock);
  if (block == stored.metadata().end()) return std::nullopt;
  const std::string& text = block->second;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), out.block);
  const bool read_whole =
      wrong == std::errc{} && end == text.data() + text.size() && out.block >= 0;
  if (!read_whole || !read(stored, kFull, like.full, out.full) ||
      !read(stored, kQuantized, like.quantized, out.quantized)) {
    return std::nullopt;
  }
  return out;
}

}  // namespace qloft::pipeline
