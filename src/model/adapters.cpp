
#include <ATen/ops/empty.h>

#include <cstring>

#include "qloft/core/error.h"
#include "state.h"

namespace qloft::model {
namespace {

using at::Tensor;

std::string shape_text(std::int64_t rows, std::int64_t columns) {
  return "[" + std::to_string(rows) + ", " + std::to_string(columns) + "]";
}

void check_factors(const Linear& linear, const adapter::Factors& factors) {
  const std::int64_t rank = factors.a.rows();
  if (factors.a.columns() == linear.in() && factors.b.rows() == linear.out() &&
      factors.b.columns() == rank) {
    return;
  }
  throw InputError({{}, linear.name}, "expected adapter factors for a weight of " +
                                          shape_text(linear.out(), linear.in()) + ", found A " +
                                          shape_text(rank, factors.a.columns()) + " and B " +
                                          shape_text(factors.b.rows(), factors.b.columns()));
}

Tensor to_tensor(const Matrix& matrix, at::Device device, bool train) {
  Tensor out = at::empty({matrix.rows(), matrix.columns()}, at::kFloat);
  std::memcpy(out.data_ptr<float>(), matrix.data(), matrix.values().size_bytes());
  return out.to(device).set_requires_grad(train);
}

Matrix to_matrix(const Tensor& tensor) {
  const Tensor plain = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  Matrix out(plain.size(0), plain.size(1));
  std::memcpy(out.data(), plain.data_ptr<float>(), out.values().size_bytes());
  return out;
}

[[noreturn]] void no_such_adapter(const std::string& name) {
  throw InputError({{}, "adapter"}, "no adapter is attached as '" + name + "'");
}

}  // namespace

void Model::attach(const std::string& name, const adapter::Adapter& adapter, bool train) {
  if (name.empty()) throw InputError({{}, "adapter"}, "expected a name");
  State& state = *state_;
  std::map<std::string, Linear*> linears;
  state.for_each_linear([&](Linear& linear) { linears[linear.name] = &linear; });
  for (const auto& [module, factors] : adapter.modules) {
    const auto found = linears.find(module);
    if (found == linears.end()) {
      throw InputError({{}, module}, "the adapter names a module that this model lacks");
    }
    check_factors(*found->second, factors);
  }
  for (auto& [module, linear] : linears) {
    linear->adapters.erase(name);
    const auto factors = adapter.modules.find(module);
    if (factors == adapter.modules.end()) continue;
    linear->adapters[name] = {.a = to_tensor(factors->second.a, state.device, train),
                              .b = to_tensor(factors->second.b, state.device, train),
                              .scale = adapter.config.scale_of(module),
                              .dropout = adapter.config.dropout};
  }
  state.adapters[name] = {adapter.config, train};
  activate(name);
}

adapter::Adapter Model::extract(const std::string& name) const {
  const auto found = state_->adapters.find(name);
  if (found == state_->adapters.end()) no_such_adapter(name);
  adapter::Adapter out;
  out.config = found->second.config;
  state_->for_each_linear([&](const Linear& linear) {
    const auto factors = linear.adapters.find(name);
    if (factors == linear.adapters.end()) return;
    out.modules[linear.name] = {to_matrix(factors->second.a), to_matrix(factors->second.b)};
  });
  return out;
}

void Model::activate(const std::string& name) {
  if (!name.empty() && !state_->adapters.contains(name)) no_such_adapter(name);
  state_->active = name;
  state_->for_each_linear([&](Linear& linear) {
    const auto found = linear.adapters.find(name);
    linear.active = found == linear.adapters.end() ? nullptr : &found->second;
  });
}

std::vector<std::string> Model::adapters() const {
  std::vector<std::string> names;
  for (const auto& [name, attached] : state_->adapters) names.push_back(name);
  return names;
}

std::vector<std::pair<std::string, Tensor>> Model::trainable() const {
  std::vector<std::pair<std::string, Tensor>> out;
  for (auto& [name, tensor] : dense_weights()) {
    if (tensor.requires_grad()) out.emplace_back(name, tensor);
  }
  for (const auto& [name, attached] : state_->adapters) {
    if (!attached.train) continue;
    state_->for_each_linear([&](const Linear& linear) {
      const auto found = linear.adapters.find(name);
      if (found == linear.adapters.end()) return;
      out.emplace_back(linear.name + ".lora_A." + name, found->second.a);
      out.emplace_back(linear.name + ".lora_B." + name, found->second.b);
    });
  }
  return out;
}

}  // namespace qloft::model
