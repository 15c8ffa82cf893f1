#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <cstring>

#include "qloft/core.h"
#include "state.h"

namespace qloft::model {
namespace {

using at::Tensor;

at::ScalarType torch_type(ElementType type) {
  switch (type) {
    case ElementType::bf16:
      return at::kBFloat16;
    case ElementType::f16:
      return at::kHalf;
    default:
      return at::kFloat;
  }
}

// The parameters of one model folder, whose files stay mapped for as long as any tensor of them
// lives.
class Reader {
 public:
  Reader(const quantized::ModelFiles& files, const LoadOptions& options, Progress& progress)
      : files_(std::make_shared<quantized::ModelFiles>(files)),
        options_(options),
        progress_(progress) {}

  Weight matrix(ParameterId id) {
    Weight out;
    if (files_->packed(id) == nullptr) {
      out.storage = dense(id);
    } else {
      if (options_.train_weights) {
        throw InputError({files_->folder(), files_->layout().parameter(id).name},
                         "a quantized matrix cannot be trained; train an adapter");
      }
      auto packed = std::make_shared<quant::PackedMatrix>(files_->read_packed(id));
      const bool linear = files_->layout().parameter(id).role == architecture::Role::linear;
      out = options_.train_scales && linear
                ? backend::with_trained_scales(std::move(packed), options_.device)
                : backend::packed_weight(std::move(packed), options_.device);
      files_->drop(id);
    }
    count(id);
    return out;
  }

  Tensor vector(ParameterId id) {
    const Tensor stored = mapped(id);
    count(id);
    return stored.to(options_.device, at::kFloat, false, true)
        .set_requires_grad(trains(files_->layout().parameter(id)));
  }

 private:
  bool trains(const architecture::Parameter& vector) const {
    if (vector.constant) return false;
    const bool bias = vector.role == architecture::Role::bias;
    return options_.train_weights || (bias ? options_.train_biases : options_.train_norms);
  }

  void count(ParameterId id) { progress_.update(++done_, files_->layout().parameter(id).name); }

  // A view of the mapped file where the values lie there as they are used.
  Tensor mapped(ParameterId id) {
    const std::vector<std::int64_t>& shape = files_->layout().parameter(id).shape;
    const auto type = torch_type(files_->type(id));
    const auto bytes = files_->bytes(id);
    if (!bytes) return put_together(id, type);
    const auto alignment = byte_size(files_->type(id));
    if (bytes->empty() || reinterpret_cast<std::uintptr_t>(bytes->data()) % alignment != 0) {
      Tensor copy = at::empty(shape, type);
      if (!bytes->empty()) std::memcpy(copy.data_ptr(), bytes->data(), bytes->size());
      return copy;
    }
    // torch has no read-only tensors; nothing writes to a weight that is not trained.
    auto* data = const_cast<std::byte*>(bytes->data());
    return at::from_blob(
        data, shape, [keep = files_](void*) {}, at::TensorOptions(type));
  }

  // f32 holds every value of the stored types.
  Tensor put_together(ParameterId id, at::ScalarType type) {
    const Matrix values = files_->read_matrix(id);
    files_->drop(id);
    Tensor out = at::empty({values.rows(), values.columns()}, at::kFloat);
    std::memcpy(out.data_ptr<float>(), values.data(), values.values().size_bytes());
    return out.view(files_->layout().parameter(id).shape).to(type);
  }

  Tensor dense(ParameterId id) {
    const Tensor stored = mapped(id);
    if (!options_.train_weights) return stored.to(options_.device);
    Tensor copy = stored.to(options_.device, at::kFloat, false, true);
    files_->drop(id);
    return copy.set_requires_grad(true);
  }

  std::shared_ptr<quantized::ModelFiles> files_;
  const LoadOptions& options_;
  Progress& progress_;
  std::uint64_t done_ = 0;
};

}  // namespace

Model Model::load(const quantized::ModelFiles& files, const LoadOptions& options,
                  Progress& progress) {
  if (options.dtype != at::kFloat && options.dtype != at::kBFloat16) {
    throw InputError({{}, "dtype"}, "expected f32 or bf16");
  }
  auto state = std::make_shared<State>();
  state->layout = files.layout();
  state->dtype = options.dtype;
  state->int8 = options.int8;
  state->cache = options.cache;
  state->factors = options.factors;
  state->device = options.device;
  for (const std::string& warning : files.warnings()) progress.warn(warning);
  Reader reader(files, options, progress);
  progress.begin("load", state->layout.parameters.size(), "tensors");
  build(*state, {[&](ParameterId id) { return reader.matrix(id); },
                 [&](ParameterId id) { return reader.vector(id); }});
  progress.end();
  Model model(std::move(state));
  model.set_output_type(options.output);
  return model;
}

}  // namespace qloft::model
