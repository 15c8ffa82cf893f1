
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "parts.h"
#include "qloft/core.h"
#include "qloft/quantized.h"

namespace qloft::model {
namespace {

using at::Tensor;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

at::ScalarType dtype_of(const checkpoint::Checkpoint& source, const io::TensorInfo& info) {
  switch (info.type) {
    case ElementType::f32:
      return at::kFloat;
    case ElementType::bf16:
      return at::kBFloat16;
    case ElementType::f16:
      return at::kHalf;
    default:
      throw InputError({source.folder(), info.name}, "expected F32, F16 or BF16, found " +
                                                         std::string(safetensors_name(info.type)));
  }
}

// The tensors of one checkpoint, mapped for as long as any of them lives.
class Reader {
 public:
  Reader(const checkpoint::Checkpoint& source, const Architecture& architecture,
         const LoadOptions& options, Progress& progress)
      : source_(std::make_shared<checkpoint::Checkpoint>(source.folder())),
        options_(options),
        progress_(progress) {
    if (auto config = quantized::read_config(source)) config_ = std::move(*config);
    check_names(architecture);
  }

  Weight matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
    Weight out;
    const auto entry = config_.matrices.find(name);
    if (entry == config_.matrices.end()) {
      out.dense = dense(name, {rows, columns});
    } else {
      if (options_.train_weights) {
        throw InputError({source_->folder(), name},
                         "a quantized matrix cannot be trained; train an adapter");
      }
      if (entry->second.rows != rows || entry->second.columns != columns) {
        throw InputError({source_->folder(), name},
                         "expected shape " + shape_text({rows, columns}) + ", found " +
                             shape_text({entry->second.rows, entry->second.columns}));
      }
      out.packed = std::make_shared<const quant::PackedMatrix>(
          quantized::read_matrix(*source_, name, entry->second));
      for (const auto& part : quantized::tensors_of(name, entry->second)) source_->drop(part.name);
    }
    progress_.update(++done_, name);
    return out;
  }

  Tensor vector(const std::string& name, std::int64_t size) {
    const Tensor stored = mapped(name, {size});
    progress_.update(++done_, name);
    return stored.to(options_.device, at::kFloat, false, true)
        .set_requires_grad(options_.train_weights);
  }

 private:
  // Nothing missing, nothing extra.
  void check_names(const Architecture& architecture) {
    std::set<std::string> expected;
    for (const TensorShape& tensor : expected_tensors(architecture)) {
      const auto entry = config_.matrices.find(tensor.name);
      if (entry == config_.matrices.end()) {
        expected.insert(tensor.name);
      } else {
        for (const auto& part : quantized::tensors_of(tensor.name, entry->second)) {
          expected.insert(part.name);
        }
      }
    }
    for (const auto& [name, entry] : config_.matrices) {
      const auto parts = quantized::tensors_of(name, entry);
      if (parts.empty() || !expected.contains(parts.front().name)) {
        throw InputError({source_->folder() / "config.json", "quantization_config"},
                         "this architecture has no matrix '" + name + "'");
      }
    }
    for (const std::string& name : expected) {
      if (!source_->contains(name)) {
        throw InputError({source_->folder(), name}, "this tensor is missing");
      }
    }
    for (const std::string& name : source_->names()) {
      if (!expected.contains(name) && !is_redundant_tensor(architecture, name)) {
        throw InputError({source_->folder(), name}, "this architecture has no such tensor");
      }
    }
  }

  // A view of the mapped file.
  Tensor mapped(const std::string& name, const std::vector<std::int64_t>& shape) {
    const io::TensorInfo& info = source_->info(name);
    if (info.shape != shape) {
      throw InputError({source_->folder(), name},
                       "expected shape " + shape_text(shape) + ", found " + shape_text(info.shape));
    }
    const auto type = dtype_of(*source_, info);
    const auto bytes = source_->bytes(name);
    const auto alignment = byte_size(info.type);
    if (bytes.empty() || reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment != 0) {
      Tensor copy = at::empty(shape, type);
      if (!bytes.empty()) std::memcpy(copy.data_ptr(), bytes.data(), bytes.size());
      return copy;
    }
    // torch has no read-only tensors; nothing writes to a weight that is not trained.
    auto* data = const_cast<std::byte*>(bytes.data());
    return at::from_blob(
        data, shape, [keep = source_](void*) {}, at::TensorOptions(type));
  }

  Tensor dense(const std::string& name, const std::vector<std::int64_t>& shape) {
    const Tensor stored = mapped(name, shape);
    if (!options_.train_weights) return stored.to(options_.device);
    Tensor copy = stored.to(options_.device, at::kFloat, false, true);
    source_->drop(name);
    return copy.set_requires_grad(true);
  }

  std::shared_ptr<checkpoint::Checkpoint> source_;
  const LoadOptions& options_;
  Progress& progress_;
  quantized::QuantizationConfig config_;
  std::uint64_t done_ = 0;
};

}  // namespace

Model Model::load(const checkpoint::Checkpoint& source, const LoadOptions& options,
                  Progress& progress) {
  auto state = std::make_shared<State>();
  state->architecture = parse_architecture(source.config(), source.folder() / "config.json");
  state->dtype = options.dtype;
  state->int8 = options.int8;
  state->device = options.device;
  if (options.dtype != at::kFloat && options.dtype != at::kBFloat16) {
    throw InputError({{}, "dtype"}, "expected f32 or bf16");
  }
  Reader reader(source, state->architecture, options, progress);
  progress.begin("load", expected_tensors(state->architecture).size(), "tensors");
  build(*state,
        {[&](const std::string& name, std::int64_t rows, std::int64_t columns) {
           return reader.matrix(name, rows, columns);
         },
         [&](const std::string& name, std::int64_t size) { return reader.vector(name, size); }});
  progress.end();
  return Model(std::move(state));
}

}  // namespace qloft::model
