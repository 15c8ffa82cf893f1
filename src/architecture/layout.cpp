#include "qloft/architecture/layout.h"

#include <algorithm>
#include <array>
#include <utility>

namespace qloft::architecture {
namespace {

std::vector<ParameterId> with_roles(const Layout& layout, std::initializer_list<Role> roles) {
  std::vector<ParameterId> out;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    const Parameter& parameter = layout.parameters[i];
    if (parameter.tied_to != kNoParameter && parameter.role != Role::output) continue;
    if (std::ranges::find(roles, parameter.role) != roles.end()) {
      out.push_back(static_cast<ParameterId>(i));
    }
  }
  return out;
}

template <typename Body>
const Body* first_body(const Layout& layout) {
  for (const Block& block : layout.blocks) {
    for (const Branch& branch : block.branches) {
      if (const auto* body = std::get_if<Body>(&branch.body)) return body;
    }
  }
  return nullptr;
}

}  // namespace

std::int64_t Parameter::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

std::string Parameter::module() const {
  for (const std::string_view end : {".weight", ".bias"}) {
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  }
  return name;
}

std::vector<Storage> storages_of(const Parameter& parameter) {
  if (!parameter.storages.empty()) return parameter.storages;
  std::vector<std::int64_t> shape = parameter.shape;
  if (parameter.transposed) std::ranges::reverse(shape);
  return {{{parameter.name, std::move(shape), -1}}};
}

std::int64_t parameter_count(const Layout& layout) {
  std::int64_t count = 0;
  for (const Parameter& parameter : layout.parameters) {
    if (parameter.tied_to == kNoParameter) count += parameter.elements();
  }
  return count;
}

std::vector<ParameterId> linear_layers(const Layout& layout) {
  return with_roles(layout, {Role::linear});
}

std::vector<ParameterId> quantizable(const Layout& layout) {
  auto out = with_roles(layout, {Role::linear, Role::output, Role::token_embedding});
  std::erase_if(out, [&](ParameterId id) { return layout.parameter(id).tied_to != kNoParameter; });
  return out;
}

std::vector<ParameterId> multiplied(const Layout& layout) {
  return with_roles(layout, {Role::linear, Role::output});
}

std::vector<ParameterId> adaptable(const Layout& layout) {
  return with_roles(layout, {Role::linear, Role::output, Role::token_embedding, Role::head});
}

std::vector<ParameterId> head_parameters(const Layout& layout) {
  std::vector<ParameterId> out;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    if (layout.parameters[i].in_head && layout.parameters[i].tied_to == kNoParameter) {
      out.push_back(static_cast<ParameterId>(i));
    }
  }
  return out;
}

std::string_view name(HeadKind kind) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "next_token", "masked_token",        "sequence", "spans", "tokens",
      "states",     "sequence_to_sequence"};
  return kNames[static_cast<std::size_t>(kind)];
}

ParameterId find(const Layout& layout, const std::string& name) {
  const auto found = std::ranges::find(layout.parameters, name, &Parameter::name);
  if (found == layout.parameters.end()) return kNoParameter;
  return static_cast<ParameterId>(found - layout.parameters.begin());
}

const Attention& first_attention(const Layout& layout) {
  static const Attention kNone;
  const auto* found = first_body<Attention>(layout);
  return found != nullptr ? *found : kNone;
}

const Mlp& first_mlp(const Layout& layout) {
  static const Mlp kNone;
  if (const auto* mlp = first_body<Mlp>(layout)) return *mlp;
  const auto* experts = first_body<Experts>(layout);
  return experts != nullptr ? experts->experts.front() : kNone;
}

bool has_tied_output(const Layout& layout) {
  return layout.output.matrix != kNoParameter &&
         layout.parameter(layout.output.matrix).tied_to != kNoParameter;
}

Layout untied(Layout layout) {
  layout.parameters[static_cast<std::size_t>(layout.output.matrix)].tied_to = kNoParameter;
  return layout;
}

}  // namespace qloft::architecture
