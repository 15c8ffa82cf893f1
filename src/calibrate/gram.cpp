#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <string>
#include <vector>

#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "tensors.h"

namespace qloft::calibrate {

void collect_gram(model::Model& model, model::AdapterId adapter,
                  std::span<const data::Example> examples, std::int64_t first_block,
                  const GramSink& sink, const BlockDone& done, Progress& progress) {
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
  progress.begin("Gram matrices", static_cast<std::uint64_t>(blocks + 1) * states.size(),
                 "sequences");
  std::uint64_t passed = 0;
  for (std::int64_t block = 0; block <= blocks; ++block) {
    const bool last = block == blocks;  // the output matrix
    const bool wanted = block >= first_block;
    GramSums grams(model, last ? -1 : block);
    {
      const Observed observed(model, {.input =
                                          [&](const std::string& module, const at::Tensor& input) {
                                            if (wanted) grams.add(module, input);
                                          },
                                      .gradient = {}});
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
