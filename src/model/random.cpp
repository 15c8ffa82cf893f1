
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <span>

#include "qloft/core.h"
#include "state.h"

namespace qloft::model {
namespace {

using architecture::Role;
using at::Tensor;

// Normal values of standard deviation `deviation`: row r of matrix m is stream m * 2^32 + r of the
// seed, so that the values depend neither on threads nor on what else is drawn.
Tensor normal_matrix(std::int64_t rows, std::int64_t columns, double deviation, std::uint64_t seed,
                     std::uint64_t matrix) {
  Tensor out = at::empty({rows, columns}, at::kFloat);
  const auto view = backend::matrix_of(out);
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

Model Model::random(const Layout& layout, const LoadOptions& options, std::uint64_t seed,
                    const std::optional<quant::Format>& format, bool output_matrix) {
  auto state = std::make_shared<State>();
  state->layout = layout;
  state->dtype = options.dtype;
  state->int8 = options.int8;
  state->cache = options.cache;
  state->factors = options.factors;
  state->device = options.device;
  std::uint64_t matrices = 0;
  const auto type = options.train_weights ? at::kFloat : options.stored;
  ParameterSource source;
  source.matrix = [&](ParameterId id) {
    const architecture::Parameter& parameter = layout.parameter(id);
    const Tensor weight = normal_matrix(parameter.rows(), parameter.columns(),
                                        layout.initializer_range, seed, matrices++);
    const bool packed =
        parameter.role == Role::linear || (output_matrix && parameter.role == Role::output);
    Weight out;
    if (format && packed) {
      out = backend::packed_weight(std::make_shared<const quant::PackedMatrix>(
                                       quant::quantize(backend::matrix_of(weight), *format)),
                                   options.device);
    } else {
      out.storage = weight.to(options.device, type).set_requires_grad(options.train_weights);
    }
    return out;
  };
  source.vector = [&](ParameterId id) {
    const architecture::Parameter& parameter = layout.parameter(id);
    const auto values = at::TensorOptions(at::kFloat).device(options.device);
    const Tensor out = parameter.role == Role::norm ? at::ones(parameter.shape, values)
                                                    : at::zeros(parameter.shape, values);
    return out.clone().set_requires_grad(options.train_weights);
  };
  build(*state, source);
  Model model(std::move(state));
  model.set_output_type(options.output);
  return model;
}

}  // namespace qloft::model
