
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <span>

#include "parts.h"
#include "qloft/core.h"
#include "tensor.h"

namespace qloft::model {
namespace {

using at::Tensor;

// Normal values of standard deviation `deviation`: row r of matrix m is stream m * 2^32 + r of the
// seed, so that the values depend neither on threads nor on what else is drawn.
Tensor normal_matrix(std::int64_t rows, std::int64_t columns, double deviation, std::uint64_t seed,
                     std::uint64_t matrix) {
  Tensor out = at::empty({rows, columns}, at::kFloat);
  const auto view = matrix_of(out);
  parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      Random random(seed, (matrix << 32) + static_cast<std::uint64_t>(row));
      random.fill_normal(std::span(view.row(row), static_cast<std::size_t>(columns)), 0.f,
                         static_cast<float>(deviation));
    }
  });
  return out;
}

}  // namespace

Model Model::random(const Architecture& architecture, const LoadOptions& options,
                    std::uint64_t seed, const std::optional<quant::Format>& format,
                    bool output_matrix) {
  auto state = std::make_shared<State>();
  state->architecture = architecture;
  state->dtype = options.dtype;
  state->int8 = options.int8;
  state->device = options.device;
  std::uint64_t matrices = 0;
  const auto type = options.train_weights ? at::kFloat : options.stored;
  Source source;
  source.matrix = [&](const std::string& name, std::int64_t rows, std::int64_t columns) {
    Tensor weight = normal_matrix(rows, columns, architecture.initializer_range, seed, matrices++);
    const bool addressed =
        name.find("_proj.") != std::string::npos || (output_matrix && name == "lm_head.weight");
    Weight out;
    if (format && addressed) {
      out.packed =
          std::make_shared<const quant::PackedMatrix>(quant::quantize(matrix_of(weight), *format));
    } else {
      out.dense = weight.to(options.device, type).set_requires_grad(options.train_weights);
    }
    return out;
  };
  source.vector = [&](const std::string& name, std::int64_t size) {
    const auto values = at::TensorOptions(at::kFloat).device(options.device);
    const bool bias = name.ends_with(".bias");
    return (bias ? at::zeros({size}, values) : at::ones({size}, values))
        .set_requires_grad(options.train_weights);
  };
  build(*state, source);
  return Model(std::move(state));
}

}  // namespace qloft::model
