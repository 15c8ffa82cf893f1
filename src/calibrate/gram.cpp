#include <ATen/core/Tensor.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "tensors.h"

namespace qloft::calibrate {
namespace {

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

}  // namespace

void collect_gram(model::Model& model, std::span<const data::Example> examples,
                  std::int64_t first_layer, const GramSink& sink, Progress& progress) {
  const model::Architecture& architecture = model.architecture();
  const auto linears = model::linear_layers(architecture);
  const auto per_layer = static_cast<std::size_t>(std::ssize(linears) / architecture.layers);
  std::int64_t tokens = 0;
  std::vector<at::Tensor> states;
  for (const data::Example& example : examples) {
    if (example.ids.empty()) continue;
    states.push_back(model.embed(ids_of(example, model)));
    tokens += std::ssize(example.ids);
  }
  progress.begin("Gram matrices", static_cast<std::uint64_t>(architecture.layers) * states.size(),
                 "sequences");
  std::uint64_t done = 0;
  for (std::int64_t layer = 0; layer < architecture.layers; ++layer) {
    std::map<std::string, Matrix> grams;
    for (std::size_t i = 0; layer >= first_layer && i < per_layer; ++i) {
      const auto& linear = linears[static_cast<std::size_t>(layer) * per_layer + i];
      if (linear.input_of == linear.name) grams[linear.name] = Matrix(linear.in, linear.in);
    }
    {
      const Observed observed(
          model, {.input =
                      [&grams](const std::string& name, MatrixView<const float> input) {
                        const auto gram = grams.find(name);
                        if (gram != grams.end()) linalg::add_gram(input, gram->second.view());
                      },
                  .gradient = {}});
      for (at::Tensor& state : states) {
        if (progress.stop_requested()) throw Interrupted({}, "stopped");
        state = model.layer(layer, state);
        progress.update(++done, "layer " + std::to_string(layer + 1) + " of " +
                                    std::to_string(architecture.layers));
      }
    }
    for (auto& [name, gram] : grams) {
      finish(gram, tokens);
      sink(layer, name, std::move(gram));
    }
  }
  progress.end();
}

}  // namespace qloft::calibrate
