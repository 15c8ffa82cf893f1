#include "finetune_weights.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "qloft/checkpoint/weight_type.h"
#include "qloft/core/error.h"
#include "qloft/core/file.h"
#include "qloft/quantized/model_files.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

Matrix values_of(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  const std::int64_t columns = plain.size(-1);
  Matrix out(plain.numel() / std::max<std::int64_t>(1, columns), columns);
  std::copy_n(plain.data_ptr<float>(), plain.numel(), out.data());
  return out;
}

}  // namespace

ElementType weight_type_named(const std::string& name) {
  if (const auto type = checkpoint::weight_type_from_name(name)) return *type;
  const auto type = element_type_from_short_name(name);
  if (type && checkpoint::is_weight_type(*type)) return *type;
  throw InputError({{}, "save_dtype"}, "expected f32, bf16 or f16, found '" + name + "'");
}

ElementType save_type(const checkpoint::Checkpoint* source, const io::Json& config,
                      const FinetuneOptions& options) {
  if (!options.save_dtype) {
    if (source != nullptr) return checkpoint::weight_type(*source);
    const auto trained = element_type_from_short_name(options.dtype).value_or(ElementType::f32);
    return checkpoint::named_weight_type(config).value_or(trained);
  }
  return weight_type_named(*options.save_dtype);
}

void write_weights(const model::Model& model, const fs::path& folder, ElementType type) {
  const architecture::Layout& layout = model.layout();
  const auto weights = model.dense_weights();
  std::vector<io::TensorInfo> tensors;
  for (const auto& [name, tensor] : weights) {
    const architecture::Parameter& parameter = layout.parameter(architecture::find(layout, name));
    for (auto& info : quantized::published_tensors(parameter, type)) {
      tensors.push_back(std::move(info));
    }
  }
  const fs::path beside = folder / "weights.partial";
  remove_whole(beside);
  make_folders(beside);
  checkpoint::Writer writer(beside, std::move(tensors), checkpoint::Writer::Mode::create);
  for (const auto& [name, tensor] : weights) {
    const architecture::Parameter& parameter = layout.parameter(architecture::find(layout, name));
    const Matrix values = values_of(tensor);
    const auto pieces = quantized::published_tensors(parameter, type);
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
      writer.write(pieces[piece].name,
                   quantized::published_bytes(parameter, piece, values.view(), type));
    }
  }
  writer.finish();
  for (const auto& entry : fs::directory_iterator(beside)) {
    rename_whole(entry.path(), folder / entry.path().filename());
  }
  remove_whole(beside);
}

}  // namespace qloft::pipeline
