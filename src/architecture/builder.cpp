#include "builder.h"

#include <utility>

namespace qloft::architecture {

LayoutBuilder::LayoutBuilder(std::string family, std::string blocks) : blocks_(std::move(blocks)) {
  layout_.family = std::move(family);
}

void LayoutBuilder::begin_encoder() {
  stack_ = "encoder";
  layout_.encoder.emplace();
}
void LayoutBuilder::begin_decoder(std::string blocks) {
  stack_ = "decoder";
  blocks_ = std::move(blocks);
  first_ = layout_.encoder->blocks = layout_.layers();
}
Embedding& LayoutBuilder::embedding() {
  return stack_ == "encoder" ? layout_.encoder->embedding : layout_.embedding;
}

void LayoutBuilder::begin_block() {
  block_ = layout_.layers() - first_;
}
void LayoutBuilder::end_blocks() {
  block_ = -1;
}
void LayoutBuilder::begin_head() {
  in_head_ = true;
}

std::string LayoutBuilder::full_name(std::string_view name) const {
  if (block_ < 0) return std::string(name);
  return blocks_ + std::to_string(block_) + "." + std::string(name);
}

ParameterId LayoutBuilder::add(Parameter parameter) {
  const auto id = static_cast<ParameterId>(layout_.parameters.size());
  if (parameter.role == Role::linear || parameter.role == Role::output) {
    if (parameter.input_of == kNoParameter) parameter.input_of = id;
  }
  parameter.stack = stack_;
  parameter.layer = block_ < 0 ? -1 : first_ + block_;
  parameter.in_head = in_head_;
  layout_.parameters.push_back(std::move(parameter));
  return id;
}

ParameterId LayoutBuilder::linear(std::string_view name, std::int64_t out, std::int64_t in,
                                  const LinearOptions& options) {
  Parameter weight;
  weight.name = full_name(name) + ".weight";
  weight.shape = {out, in};
  weight.role = options.role;
  weight.transposed = options.transposed;
  weight.input_of = options.input_of;
  weight.group = options.group;
  const ParameterId id = add(std::move(weight));
  if (options.bias) {
    Parameter bias;
    bias.name = full_name(name) + ".bias";
    bias.shape = {out};
    bias.role = Role::bias;
    const ParameterId bias_id = add(std::move(bias));
    layout_.parameters[static_cast<std::size_t>(id)].bias = bias_id;
  }
  return id;
}

ParameterId LayoutBuilder::expert(std::string_view name, std::int64_t out, std::int64_t in,
                                  std::int64_t expert, ParameterId input_of,
                                  std::vector<Storage> storages) {
  Parameter weight;
  weight.name = full_name(name) + ".weight";
  weight.shape = {out, in};
  weight.expert = expert;
  weight.input_of = input_of;
  weight.storages = std::move(storages);
  return add(std::move(weight));
}

Norm LayoutBuilder::rms_norm(std::string_view name, std::int64_t width, double epsilon,
                             double offset) {
  Parameter weight;
  weight.name = full_name(name) + ".weight";
  weight.shape = {width};
  weight.role = Role::norm;
  return {NormKind::rms, add(std::move(weight)), kNoParameter, epsilon, offset};
}

Norm LayoutBuilder::layer_norm(std::string_view name, std::int64_t width, double epsilon,
                               bool bias) {
  Norm norm = rms_norm(name, width, epsilon);
  norm.kind = NormKind::layer;
  if (bias) {
    Parameter parameter;
    parameter.name = full_name(name) + ".bias";
    parameter.shape = {width};
    parameter.role = Role::norm_bias;
    norm.bias = add(std::move(parameter));
  }
  return norm;
}

ParameterId LayoutBuilder::add_rows(std::string_view name, std::int64_t rows, std::int64_t width,
                                    Role role) {
  Parameter weight;
  weight.name = full_name(name) + ".weight";
  weight.shape = {rows, width};
  weight.role = role;
  return add(std::move(weight));
}

ParameterId LayoutBuilder::token_embedding(std::string_view name, std::int64_t width) {
  return embedding().tokens = add_rows(name, layout_.vocabulary_size, width, Role::token_embedding);
}

ParameterId LayoutBuilder::type_embedding(std::string_view name, std::int64_t rows,
                                          std::int64_t width) {
  return embedding().types = add_rows(name, rows, width, Role::type_embedding);
}

ParameterId LayoutBuilder::position_embedding(std::string_view name, std::int64_t rows,
                                              std::int64_t width) {
  return embedding().positions = add_rows(name, rows, width, Role::position_embedding);
}

ParameterId LayoutBuilder::distance_embedding(std::string_view name, std::int64_t rows,
                                              std::int64_t width) {
  return add_rows(name, rows, width, Role::position_embedding);
}

ParameterId LayoutBuilder::output_matrix(std::string_view name, std::int64_t width, bool tied,
                                         bool bias) {
  const ParameterId id =
      linear(name, layout_.vocabulary_size, width, {.bias = bias, .role = Role::output});
  if (tied) layout_.parameters[static_cast<std::size_t>(id)].tied_to = layout_.embedding.tokens;
  return layout_.output.matrix = id;
}

RowSlice LayoutBuilder::whole(ParameterId linear) const {
  return {linear, 1, 0, layout_.parameter(linear).rows()};
}

void LayoutBuilder::split_heads(ParameterId fused, std::int64_t groups,
                                Attention& attention) const {
  const std::int64_t queries = attention.heads * attention.head_dim / groups;
  const std::int64_t keys = attention.key_value_heads * attention.head_dim / groups;
  attention.query = {fused, groups, 0, queries};
  attention.key = {fused, groups, queries, keys};
  attention.value = {fused, groups, queries + keys, keys};
}

Block& LayoutBuilder::add(Block block) {
  layout_.blocks.push_back(std::move(block));
  return layout_.blocks.back();
}

}  // namespace qloft::architecture
