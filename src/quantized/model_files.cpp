#include "qloft/quantized/model_files.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "qloft/architecture.h"
#include "qloft/core/error.h"
#include "qloft/core/random.h"
#include "qloft/core/text.h"

namespace qloft::quantized {

using architecture::kNoParameter;
using architecture::Parameter;
using architecture::ParameterId;
using architecture::Piece;
using architecture::Storage;

namespace {

// Elements of one piece: a whole tensor, or one matrix of it.
std::size_t elements_of(const Piece& piece) {
  std::size_t count = 1;
  for (std::size_t i = piece.index < 0 ? 0 : 1; i < piece.shape.size(); ++i) {
    count *= static_cast<std::size_t>(piece.shape[i]);
  }
  return count;
}

bool matches(const architecture::Layout& layout, const std::string& tensor) {
  return std::ranges::any_of(layout.foreign_prefixes,
                             [&](const auto& prefix) { return tensor.starts_with(prefix); }) ||
         std::ranges::any_of(layout.foreign_suffixes,
                             [&](const auto& suffix) { return tensor.ends_with(suffix); });
}

Matrix transposed(const Matrix& in) {
  Matrix out(in.columns(), in.rows());
  for (std::int64_t i = 0; i < in.rows(); ++i) {
    for (std::int64_t j = 0; j < in.columns(); ++j) out(j, i) = in(i, j);
  }
  return out;
}

}  // namespace

ModelFiles::ModelFiles(const std::filesystem::path& folder,
                       const std::optional<architecture::HeadRequest>& head, std::uint64_t seed)
    : source_(std::make_shared<const checkpoint::Checkpoint>(folder)),
      config_(std::make_shared<const io::Json>(source_->config())),
      seed_(seed),
      layout_(architecture::read_layout(*config_, source_->folder() / "config.json")),
      quantization_(read_config(*source_)) {
  if (head) {
    const auto file = source_->folder() / "config.json";
    config_ =
        std::make_shared<const io::Json>(architecture::with_head(*config_, layout_, *head, file));
    layout_ = architecture::read_layout(*config_, file);
  }
  find_packed();
  tie_where_output_is_missing();
  find_storages(head.has_value());
  check_names();
  untie_where_values_differ();
}

const MatrixEntry* ModelFiles::packed(ParameterId id) const {
  const std::string& name = packed_names_[static_cast<std::size_t>(id)];
  return name.empty() ? nullptr : &quantization_->matrices.at(name);
}

// A folder may have been quantized under another prefix, as a model without a head is.
void ModelFiles::find_packed() {
  packed_names_.resize(layout_.parameters.size());
  if (!quantization_) return;
  for (const auto& [name, entry] : quantization_->matrices) {
    ParameterId id = architecture::find(layout_, name);
    for (const std::string& other : layout_.other_prefixes) {
      if (id != kNoParameter || !name.starts_with(other)) continue;
      id = architecture::find(layout_, layout_.prefix + name.substr(other.size()));
    }
    if (id == kNoParameter || !layout_.parameter(id).is_matrix()) {
      throw InputError({folder() / "config.json", "quantization_config"},
                       "this architecture has no matrix '" + name + "'");
    }
    packed_names_[static_cast<std::size_t>(id)] = name;
  }
}

// The name under which the checkpoint has what the layout calls `name`.
std::string ModelFiles::stored_name(const std::string& name) const {
  if (source_->contains(name) || !name.starts_with(layout_.prefix)) return name;
  for (const std::string& other : layout_.other_prefixes) {
    std::string candidate = other + name.substr(layout_.prefix.size());
    if (source_->contains(candidate)) return candidate;
  }
  return name;
}

// An output matrix that may be stored as the embedding, and has no tensor of its own, is the
// embedding, packed or not.
void ModelFiles::tie_where_output_is_missing() {
  const ParameterId id = layout_.output.matrix;
  if (id == kNoParameter || layout_.parameter(id).tied_to != kNoParameter) return;
  if (packed(id) != nullptr) return;
  Parameter& output = layout_.parameters[static_cast<std::size_t>(id)];
  const auto embeddings = architecture::storages_of(layout_.parameter(layout_.embedding.tokens));
  const auto is_embeddings = [&](const Storage& storage) {
    return std::ranges::any_of(embeddings, [&](const Storage& own) {
      return own.front().tensor == storage.front().tensor;
    });
  };
  const auto is_there = [&](const Storage& storage) {
    return !is_embeddings(storage) && source_->contains(stored_name(storage.front().tensor));
  };
  if (std::ranges::none_of(output.storages, is_embeddings) ||
      std::ranges::any_of(output.storages, is_there)) {
    return;
  }
  output.tied_to = layout_.embedding.tokens;
  output.storages.clear();
}

void ModelFiles::find_storages(bool head_asked_for) {
  storages_.resize(layout_.parameters.size());
  std::string made_anew;
  for (std::size_t i = 0; i < storages_.size(); ++i) {
    const auto id = static_cast<ParameterId>(i);
    const Parameter& parameter = layout_.parameters[i];
    if (const MatrixEntry* entry = packed(id)) {
      if (std::vector{entry->rows, entry->columns} != parameter.shape) {
        throw InputError({folder(), parameter.name}, "expected shape " +
                                                         shape_text(parameter.shape) + ", found " +
                                                         shape_text({entry->rows, entry->columns}));
      }
      for (const auto& part : tensors_of(packed_names_[i], *entry)) {
        if (!source_->contains(part.name)) {
          throw InputError({folder(), part.name}, "this tensor is missing");
        }
      }
      continue;
    }
    for (Storage storage : architecture::storages_of(parameter)) {
      for (Piece& piece : storage) piece.tensor = stored_name(piece.tensor);
      const bool here = std::ranges::all_of(
          storage, [&](const Piece& piece) { return source_->contains(piece.tensor); });
      if (here) {
        storages_[i] = std::move(storage);
        break;
      }
    }
    const bool other_labels = head_asked_for && parameter.in_head &&
                              std::ranges::any_of(storages_[i], [&](const Piece& piece) {
                                return source_->info(piece.tensor).shape != piece.shape;
                              });
    if (other_labels) storages_[i].clear();
    if (storages_[i].empty() && parameter.in_head && parameter.tied_to == kNoParameter) {
      made_anew += (made_anew.empty() ? "" : ", ") + parameter.name;
      continue;
    }
    if (storages_[i].empty() && parameter.tied_to == kNoParameter && !parameter.constant) {
      const std::string name = architecture::storages_of(parameter).front().front().tensor;
      throw InputError({folder(), name}, "this tensor is missing");
    }
    for (const Piece& piece : storages_[i]) {
      const io::TensorInfo& info = source_->info(piece.tensor);
      if (info.shape != piece.shape) {
        throw InputError({folder(), piece.tensor}, "expected the shape " + shape_text(piece.shape) +
                                                       " by config.json, found " +
                                                       shape_text(info.shape));
      }
      if (info.type != ElementType::f32 && info.type != ElementType::f16 &&
          info.type != ElementType::bf16) {
        throw InputError({folder(), piece.tensor}, "expected F32, F16 or BF16, found " +
                                                       std::string(safetensors_name(info.type)));
      }
    }
  }
  if (made_anew.empty()) return;
  head_warning_ = "the checkpoint has no " + made_anew + " for its head: made anew (seed " +
                  std::to_string(seed_) + "), to be trained";
}

// Nothing in the checkpoint that the layout does not have.
void ModelFiles::check_names() const {
  std::set<std::string> known;
  for (std::size_t i = 0; i < storages_.size(); ++i) {
    for (std::string& name : tensors(static_cast<ParameterId>(i))) known.insert(std::move(name));
  }
  for (const std::string& name : source_->names()) {
    if (!known.contains(name) && !matches(layout_, name)) {
      throw InputError({folder(), name}, "this architecture has no such tensor");
    }
  }
}

void ModelFiles::untie_where_values_differ() {
  if (!architecture::has_tied_output(layout_)) return;
  const ParameterId id = layout_.output.matrix;
  const Parameter& output = layout_.parameter(id);
  if (packed(id) != nullptr) {
    layout_ = architecture::untied(std::move(layout_));
    return;
  }
  if (storage(id).empty()) return;
  const auto own = bytes(id);
  const auto embedding = packed(output.tied_to) == nullptr ? bytes(output.tied_to) : std::nullopt;
  const bool same =
      own && embedding && type(id) == type(output.tied_to) && std::ranges::equal(*own, *embedding);
  drop(id);
  if (same) return;
  warnings_.push_back(output.name + " is not the embedding, which config.json ties it to: each " +
                      "keeps its own values");
  layout_ = architecture::untied(std::move(layout_));
}

const Storage& ModelFiles::storage(ParameterId id) const {
  return storages_[static_cast<std::size_t>(id)];
}

ElementType ModelFiles::type(ParameterId id) const {
  const Parameter& parameter = layout_.parameter(id);
  if (storage(id).empty()) {
    return parameter.tied_to != kNoParameter ? type(parameter.tied_to) : ElementType::f32;
  }
  return source_->info(storage(id).front().tensor).type;
}

std::vector<std::string> ModelFiles::tensors(ParameterId id) const {
  std::vector<std::string> out;
  if (const MatrixEntry* entry = packed(id)) {
    for (auto& part : tensors_of(packed_names_[static_cast<std::size_t>(id)], *entry)) {
      out.push_back(std::move(part.name));
    }
    return out;
  }
  for (const Piece& piece : storage(id)) out.push_back(piece.tensor);
  return out;
}

std::optional<std::span<const std::byte>> ModelFiles::bytes(ParameterId id) const {
  const Parameter& parameter = layout_.parameter(id);
  const Storage& pieces = storage(id);
  if (pieces.size() != 1 || parameter.transposed) return std::nullopt;
  const Piece& piece = pieces.front();
  const auto all = source_->bytes(piece.tensor);
  if (piece.index < 0) return all;
  const std::size_t size = elements_of(piece) * byte_size(source_->info(piece.tensor).type);
  return all.subspan(static_cast<std::size_t>(piece.index) * size, size);
}

Matrix ModelFiles::read_matrix(ParameterId id) const {
  const Parameter& parameter = layout_.parameter(id);
  if (packed(id) != nullptr) {
    const quant::PackedMatrix matrix = read_packed(id);
    Matrix out(matrix.rows(), matrix.columns());
    quant::dequantize(matrix, out.view());
    return out;
  }
  if (storage(id).empty()) {
    return parameter.tied_to != kNoParameter ? read_matrix(parameter.tied_to) : made_anew(id);
  }
  const std::int64_t rows = parameter.is_matrix() ? parameter.rows() : 1;
  Matrix out =
      parameter.transposed ? Matrix(parameter.columns(), rows) : Matrix(rows, parameter.columns());
  std::size_t at = 0;
  for (const Piece& piece : storage(id)) {
    const ElementType type = source_->info(piece.tensor).type;
    const std::size_t count = elements_of(piece);
    const std::size_t first =
        piece.index < 0 ? 0 : static_cast<std::size_t>(piece.index) * count * byte_size(type);
    checkpoint::convert_to_f32(source_->bytes(piece.tensor).subspan(first, count * byte_size(type)),
                               type, out.values().subspan(at, count));
    at += count;
  }
  return parameter.transposed ? transposed(out) : out;
}

Matrix ModelFiles::made_anew(ParameterId id) const {
  const Parameter& parameter = layout_.parameter(id);
  if (!parameter.is_matrix()) {
    Matrix out(1, parameter.columns());
    std::ranges::fill(out.values(), parameter.role == architecture::Role::norm ? 1.f : 0.f);
    return out;
  }
  Matrix out(parameter.rows(), parameter.columns());
  Random random(seed_, static_cast<std::uint64_t>(id));
  random.fill_normal(out.values(), 0.f, static_cast<float>(layout_.initializer_range));
  return out;
}

quant::PackedMatrix ModelFiles::read_packed(ParameterId id) const {
  return quantized::read_matrix(*source_, packed_names_[static_cast<std::size_t>(id)], *packed(id));
}

void ModelFiles::drop(ParameterId id) const {
  for (const std::string& name : tensors(id)) source_->drop(name);
}

std::vector<std::string> ModelFiles::foreign() const {
  std::set<std::string> known;
  for (std::size_t i = 0; i < storages_.size(); ++i) {
    for (std::string& name : tensors(static_cast<ParameterId>(i))) known.insert(std::move(name));
  }
  std::vector<std::string> out;
  for (std::string& name : source_->names()) {
    if (!known.contains(name)) out.push_back(std::move(name));
  }
  return out;
}

std::vector<io::TensorInfo> published_tensors(const Parameter& parameter, ElementType type) {
  std::vector<io::TensorInfo> out;
  const Storage published = architecture::storages_of(parameter).front();
  for (const Piece& piece : published) {
    io::TensorInfo info;
    info.name = piece.tensor;
    info.type = type;
    info.shape = piece.shape;
    out.push_back(std::move(info));
  }
  return out;
}

std::vector<std::byte> published_bytes(const Parameter& parameter, std::size_t piece,
                                       MatrixView<const float> values, ElementType type) {
  const Storage pieces = architecture::storages_of(parameter).front();
  std::int64_t first = 0;
  for (std::size_t i = 0; i < piece; ++i) first += pieces[i].shape.front();
  const std::int64_t rows =
      parameter.is_matrix() && !parameter.transposed ? pieces[piece].shape.front() : values.rows;
  Matrix part(rows, values.columns);
  for (std::int64_t i = 0; i < rows; ++i) {
    std::copy_n(values.row(first + i), values.columns, part.view().row(i));
  }
  if (parameter.transposed) part = transposed(part);
  return checkpoint::convert_from_f32(part.values(), type);
}

}  // namespace qloft::quantized
