#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "tensors.h"

namespace qloft::calibrate {
namespace {

// Those of the next tokens that `module` sees.
class WeightsInTurn {
 public:
  explicit WeightsInTurn(const KeptWeights& kept) : kept_(kept) {}

  at::Tensor next(const std::string& module, const at::Tensor& input) {
    std::int64_t& first = first_[module];
    const at::Tensor out = weights_of(kept_, module, first, input.size(0));
    first += input.size(0);
    return out.to(input.device());
  }

 private:
  const KeptWeights& kept_;
  std::map<std::string, std::int64_t> first_;
};

}  // namespace

void collect_gram(model::Model& model, model::AdapterId adapter,
                  std::span<const data::Example> examples, const KeptWeights* weights,
                  std::int64_t first_block, const GramSink& sink, const BlockDone& done,
                  Progress& progress) {
  const architecture::Layout& layout = model.layout();
  const std::vector<model::AdapterId> adapters = {adapter};
  std::int64_t tokens = 0;
  std::vector<at::Tensor> states;
  for (const data::Example& example : examples) {
    if (example.ids.empty()) continue;
    states.push_back(model.embed({.ids = ids_of(example, model), .adapters = adapters}));
    tokens += std::ssize(example.ids);
  }
  const at::NoGradGuard no_grad;
  const std::int64_t blocks = layout.layers();
  const std::int64_t all = weights == nullptr ? blocks + 1 : blocks;
  progress.begin("Gram matrices", static_cast<std::uint64_t>(all) * states.size(), "sequences");
  std::uint64_t passed = 0;
  std::optional<WeightsInTurn> in_turn;
  if (weights != nullptr) in_turn.emplace(*weights);
  for (std::int64_t block = 0; block < all; ++block) {
    const bool last = block == blocks;  // the output matrix
    const bool wanted = block >= first_block;
    GramSums grams(model, last ? -1 : block,
                   weights == nullptr ? TokenWeights::even : TokenWeights::loss);
    {
      const auto add = [&](const std::string& module, const at::Tensor& input) {
        if (!wanted) return;
        if (!in_turn) return grams.add(module, input);
        grams.add(module, input, in_turn->next(module, input));
      };
      const Observed observed(model, {.input = add, .gradient = {}});
      for (at::Tensor& state : states) {
        if (progress.stop_requested()) throw Interrupted({}, "stopped");
        if (last) {
          const at::Tensor input = model.finish(state, adapters);
          grams.add(layout.parameter(layout.output.matrix).module(),
                    input.reshape({-1, input.size(-1)}));
        } else {
          state = model.block(block, state, adapters);
        }
        progress.update(++passed, last ? "output matrix"
                                       : "layer " + std::to_string(block + 1) + " of " +
                                             std::to_string(blocks));
      }
    }
    if (!wanted) continue;
    finish_grams(grams, tokens, sink);
    done(block);
  }
  progress.end();
}

}  // namespace qloft::calibrate
