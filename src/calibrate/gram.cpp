#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "qloft/backend/statistics.h"
#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "tensors.h"

namespace qloft::calibrate {
namespace {

// A Gram matrix, and the tensor that adds it up where the activations are: the same memory, if
// that is the CPU's.
struct Sum {
  Matrix gram;
  at::Tensor values;
};

Sum zero_sum(std::int64_t n, at::Device device) {
  Sum out{Matrix(n, n), {}};
  out.values = at::from_blob(out.gram.view().data, {n, n}, at::TensorOptions(at::kFloat));
  if (!device.is_cpu())
    out.values = at::zeros({n, n}, at::TensorOptions(at::kFloat).device(device));
  return out;
}

// Means over `tokens` in the upper triangle, copied into the lower one.
void finish(Matrix& gram, std::int64_t tokens) {
  const auto factor = static_cast<float>(1.0 / static_cast<double>(tokens));
  for (std::int64_t i = 0; i < gram.rows(); ++i) {
    for (std::int64_t j = i; j < gram.columns(); ++j) {
      gram(i, j) *= factor;
      gram(j, i) = gram(i, j);
    }
  }
}

// The Gram matrices of one block, or of the output matrix, by the module whose name they bear.
class Grams {
 public:
  Grams(const architecture::Layout& layout, std::int64_t block, at::Device device) {
    for (const architecture::ParameterId id : architecture::multiplied(layout)) {
      const architecture::Parameter& parameter = layout.parameter(id);
      if (parameter.layer != block) continue;
      const bool own = parameter.input_of == id;
      if (own) sums_[parameter.module()] = zero_sum(parameter.columns(), device);
      // An expert sees some of the tokens only: those of all experts are summed.
      if (own || parameter.expert >= 0) {
        named_[parameter.module()] = layout.parameter(parameter.input_of).module();
      }
    }
  }

  void add(const std::string& module, const at::Tensor& input) {
    const auto name = named_.find(module);
    if (name != named_.end()) backend::add_gram(input, sums_.at(name->second).values);
  }
  void finish(std::int64_t tokens, const GramSink& sink) {
    for (auto& [module, sum] : sums_) {
      if (!sum.values.is_cpu()) {
        const std::int64_t n = sum.gram.rows();
        at::from_blob(sum.gram.view().data, {n, n}, at::TensorOptions(at::kFloat))
            .copy_(sum.values);
      }
      calibrate::finish(sum.gram, tokens);
      sink(module, std::move(sum.gram));
    }
  }

 private:
  std::map<std::string, Sum> sums_;
  std::map<std::string, std::string> named_;
};

}  // namespace

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
  const std::int64_t blocks = layout.layers();
  progress.begin("Gram matrices", static_cast<std::uint64_t>(blocks + 1) * states.size(),
                 "sequences");
  std::uint64_t passed = 0;
  for (std::int64_t block = 0; block <= blocks; ++block) {
    const bool last = block == blocks;  // the output matrix
    const bool wanted = block >= first_block;
    Grams grams(layout, last ? -1 : block, model.device());
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
    grams.finish(tokens, sink);
    done(block);
  }
  progress.end();
}

}  // namespace qloft::calibrate
