#include "experts.h"

#include <utility>

namespace qloft::architecture {

Experts add_experts(LayoutBuilder& builder, const ExpertNames& names, std::int64_t hidden,
                    std::int64_t inner, std::int64_t count, Activation activation) {
  Experts out;
  out.router = builder.linear("mlp.gate", count, hidden, {.role = Role::router});
  const std::string published = builder.full_name(names.stem);
  const std::string own = builder.full_name("mlp.");
  Layout& layout = builder.layout();
  if (published != own) {
    Parameter& router = layout.parameters[static_cast<std::size_t>(out.router)];
    router.storages = {{{published + "gate.weight", {count, hidden}}},
                       {{own + "gate.weight", {count, hidden}}}};
  }
  ParameterId first_up = kNoParameter, first_down = kNoParameter;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    const std::string expert = published + "experts." + number + ".";
    Mlp mlp;
    mlp.activation = activation;
    const ParameterId both =
        builder.expert("mlp.experts." + number + ".gate_up_proj", 2 * inner, hidden, i, first_up,
                       {{{expert + names.gate + ".weight", {inner, hidden}},
                         {expert + names.up + ".weight", {inner, hidden}}},
                        {{own + "experts.gate_up_proj", {count, 2 * inner, hidden}, i}}});
    mlp.gate = RowSlice{both, 1, 0, inner};
    mlp.up = RowSlice{both, 1, inner, inner};
    mlp.down = builder.expert("mlp.experts." + number + ".down_proj", hidden, inner, i, first_down,
                              {{{expert + names.down + ".weight", {hidden, inner}}},
                               {{own + "experts.down_proj", {count, hidden, inner}, i}}});
    if (i == 0) {
      first_up = both;
      first_down = mlp.down;
    }
    out.experts.push_back(mlp);
  }
  return out;
}

}  // namespace qloft::architecture
