
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_set>

#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "state.h"

namespace qloft::model {
namespace {

using at::Tensor;

void check_factors(const Linear& linear, const adapter::Factors& factors) {
  const std::int64_t rank = factors.a.rows();
  if (factors.a.columns() == linear.weight.columns() && factors.b.rows() == linear.weight.rows() &&
      factors.b.columns() == rank) {
    return;
  }
  throw InputError({{}, linear.module},
                   "expected adapter factors for a weight of " +
                       shape_text({linear.weight.rows(), linear.weight.columns()}) + ", found A " +
                       shape_text({rank, factors.a.columns()}) + " and B " +
                       shape_text({factors.b.rows(), factors.b.columns()}));
}

Tensor to_tensor(const Matrix& matrix) {
  Tensor out = at::empty({matrix.rows(), matrix.columns()}, at::kFloat);
  std::memcpy(out.data_ptr<float>(), matrix.data(), matrix.values().size_bytes());
  return out;
}

Matrix to_matrix(const Tensor& tensor) {
  const Tensor plain = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  Matrix out(plain.size(0), plain.size(1));
  std::memcpy(out.data(), plain.data_ptr<float>(), out.values().size_bytes());
  return out;
}

// Factors that are not trained, as they are kept.
LowRank kept_as(StoredType type, const LowRank& factors, at::Device device) {
  if (type == StoredType::f32) return factors;
  LowRank out = factors;
  if (type == StoredType::int8) {
    out = backend::pack(factors);
    // Packed factors are for the CPU: elsewhere the same values stand for them.
    return device.is_cpu() ? out : backend::as_tensors(out);
  }
  out.a = factors.a.to(at::kBFloat16);
  out.b = factors.b.to(at::kBFloat16);
  return out;
}

// The head's parameters that an adapter has instead of the model's: what it brings along, and all
// of them where it is to be trained, but for heads that speak of the vocabulary.
std::map<ParameterId, Tensor> saved_of(const Model::State& state, const adapter::Adapter& adapter,
                                       bool train) {
  using architecture::HeadKind;
  const HeadKind kind = state.layout.head.kind;
  const bool all = train && kind != HeadKind::masked_token && kind != HeadKind::next_token;
  std::map<ParameterId, Tensor> out;
  std::size_t found = 0;
  for (const ParameterId id : architecture::head_parameters(state.layout)) {
    const architecture::Parameter& parameter = state.layout.parameter(id);
    const auto brought = adapter.saved.find(parameter.name);
    if (brought != adapter.saved.end()) ++found;
    if (brought == adapter.saved.end() && !all) continue;
    const Tensor own = parameter.is_matrix() ? state.linear(id).weight.dense() : state.vector(id);
    const Tensor values = brought != adapter.saved.end() ? to_tensor(brought->second) : own;
    if (values.numel() != own.numel()) {
      throw InputError({{}, parameter.name}, "expected values of the shape " +
                                                 shape_text(parameter.shape) + ", found " +
                                                 shape_text(values.sizes().vec()));
    }
    out[id] = values.detach()
                  .to(state.device, at::kFloat, false, true)
                  .view(parameter.shape)
                  .set_requires_grad(train);
  }
  if (found != adapter.saved.size()) {
    throw InputError({{}, adapter.saved.begin()->first},
                     "the adapter has parameters of a head that this model lacks");
  }
  return out;
}

[[noreturn]] void no_such_adapter(const std::string& name) {
  throw InputError({{}, "adapter"}, "no adapter is attached as '" + name + "'");
}

}  // namespace

AdapterId Model::attach(const std::string& name, const adapter::Adapter& adapter, bool train) {
  if (name.empty()) throw InputError({{}, "adapter"}, "expected a name");
  State& state = *state_;
  std::map<std::string, ParameterId> linears;
  for (const ParameterId parameter : architecture::adaptable(state.layout)) {
    linears[state.linear(parameter).module] = parameter;
  }
  for (const auto& [module, factors] : adapter.modules) {
    const auto found = linears.find(module);
    if (found == linears.end()) {
      throw InputError({{}, module}, "the adapter names a module that this model lacks");
    }
    check_factors(state.linear(found->second), factors);
  }
  auto entry = std::ranges::find(state.adapters, name, &State::Attached::name);
  if (entry == state.adapters.end()) {
    // A detached adapter's id is free again.
    entry = std::ranges::find(state.adapters, std::string(), &State::Attached::name);
  }
  if (entry == state.adapters.end()) entry = state.adapters.insert(entry, State::Attached{});
  const auto id = static_cast<std::size_t>(entry - state.adapters.begin());
  *entry = {name, adapter.config, train, saved_of(state, adapter, train)};
  for (const auto& [module, parameter] : linears) {
    auto& adapters = state.linear(parameter).adapters;
    adapters.resize(std::max(adapters.size(), id + 1));
    adapters[id].reset();
    const auto factors = adapter.modules.find(module);
    if (factors == adapter.modules.end()) continue;
    LowRank made{.a = to_tensor(factors->second.a),
                 .b = to_tensor(factors->second.b),
                 .scale = adapter.config.scale_of(module),
                 .dropout = adapter.config.dropout};
    // An embedding looks up rows of them, and an output matrix has but one pair.
    const bool within_block = state.layout.parameter(parameter).role == architecture::Role::linear;
    if (!train && within_block) made = kept_as(state.factors, made, state.device);
    if (made.packed == nullptr) {
      made.a = made.a.to(state.device).set_requires_grad(train);
      made.b = made.b.to(state.device).set_requires_grad(train);
    }
    adapters[id] = made;
  }
  return static_cast<AdapterId>(id);
}

void Model::set_factor_type(StoredType type) {
  state_->factors = type;
}

AdapterId Model::find_adapter(const std::string& name) const {
  const auto found = std::ranges::find(state_->adapters, name, &State::Attached::name);
  if (name.empty() || found == state_->adapters.end()) no_such_adapter(name);
  return static_cast<AdapterId>(found - state_->adapters.begin());
}

void Model::detach(const std::string& name) {
  const AdapterId id = find_adapter(name);
  state_->adapters[static_cast<std::size_t>(id)] = {};
  state_->for_each_adaptable([&](Linear& linear) {
    if (linear.factors(id) != nullptr) linear.adapters[static_cast<std::size_t>(id)].reset();
  });
}

adapter::Adapter Model::extract(const std::string& name) const {
  const AdapterId id = find_adapter(name);
  adapter::Adapter out;
  out.config = state_->adapters[static_cast<std::size_t>(id)].config;
  state_->for_each_adaptable([&](const Linear& linear) {
    const LowRank* factors = linear.factors(id);
    if (factors == nullptr) return;
    const LowRank tensors = backend::as_tensors(*factors);
    out.modules[linear.module] = {to_matrix(tensors.a), to_matrix(tensors.b)};
  });
  for (const auto& [parameter, values] : state_->adapters[static_cast<std::size_t>(id)].saved) {
    const Tensor matrix = values.dim() == 2 ? values : values.unsqueeze(0);
    out.saved.emplace(state_->layout.parameter(parameter).name, to_matrix(matrix));
  }
  return out;
}

std::vector<std::string> Model::adapters() const {
  std::vector<std::string> names;
  for (const auto& attached : state_->adapters) {
    if (!attached.name.empty()) names.push_back(attached.name);
  }
  return names;
}

std::vector<std::pair<std::string, Tensor>> Model::trainable() const {
  std::vector<std::pair<std::string, Tensor>> out;
  for (auto& [name, tensor] : dense_weights()) {
    if (tensor.requires_grad()) out.emplace_back(name, tensor);
  }
  for (const Linear& linear : state_->linears) {
    if (linear.weight.scales == nullptr) continue;
    out.emplace_back(linear.module + ".scale_factors", linear.weight.scales->factors);
  }
  for (std::size_t i = 0; i < state_->adapters.size(); ++i) {
    const State::Attached& attached = state_->adapters[i];
    if (attached.name.empty() || !attached.train) continue;
    state_->for_each_adaptable([&](const Linear& linear) {
      const LowRank* factors = linear.factors(static_cast<AdapterId>(i));
      if (factors == nullptr) return;
      out.emplace_back(linear.module + ".lora_A." + attached.name, factors->a);
      out.emplace_back(linear.module + ".lora_B." + attached.name, factors->b);
    });
    for (const auto& [parameter, values] : attached.saved) {
      out.emplace_back(state_->layout.parameter(parameter).name + "." + attached.name, values);
    }
  }
  return out;
}

std::vector<std::pair<std::string, Tensor>> Model::trainable(std::int64_t block) const {
  const auto all = trainable();
  std::unordered_set<const void*> within;
  const auto& parameters = state_->layout.parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].layer != block) continue;
    const Linear& linear = state_->linears[i];
    const Tensor& tensor = parameters[i].is_matrix() ? linear.weight.dense() : state_->vectors[i];
    if (tensor.defined()) within.insert(tensor.data_ptr());
    if (linear.weight.scales) within.insert(linear.weight.scales->factors.data_ptr());
    for (const auto& factors : linear.adapters) {
      if (factors && factors->a.defined())
        within.insert({factors->a.data_ptr(), factors->b.data_ptr()});
    }
  }
  std::vector<std::pair<std::string, Tensor>> out;
  for (const auto& [name, tensor] : all) {
    if (within.contains(tensor.data_ptr())) out.emplace_back(name, tensor);
  }
  return out;
}

}  // namespace qloft::model
