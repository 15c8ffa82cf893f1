#include "qloft/model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros_like.h>

#include <utility>
#include <vector>

#include "blocks/block.h"
#include "blocks/ends.h"
#include "blocks/positions.h"
#include "encode.h"
#include "qloft/core.h"
#include "qloft/core/text.h"
#include "state.h"

namespace qloft::model {
namespace {

using at::Tensor;

void check_like_ids(const Tensor& tensor, const Tensor& ids, const char* name) {
  if (tensor.sizes() == ids.sizes() && tensor.scalar_type() == at::kLong) return;
  throw InputError({{}, name}, "expected int64 " + shape_text(ids.sizes().vec()) + ", found " +
                                   shape_text(tensor.sizes().vec()));
}

void check_text(const Input& input, const Layout& layout) {
  const Tensor& ids = input.ids;
  if (!ids.defined() || ids.dim() != 2 || ids.scalar_type() != at::kLong) {
    throw InputError({{}, "ids"}, "expected int64 [rows, length]");
  }
  check_ids(ids, layout);
  if (input.segments.defined()) check_like_ids(input.segments, ids, "segments");
}

void check_input(const Input& input, const Layout& layout) {
  const Tensor& ids = input.ids;
  check_text(input, layout);
  if (input.positions.defined()) check_like_ids(input.positions, ids, "positions");
  if (input.types.defined()) check_like_ids(input.types, ids, "types");
  check_source(input.source, ids.size(0), layout);
}

// The positions of an input where it names none.
Tensor positions_of(const Input& input, const Layout& layout) {
  if (input.positions.defined()) return input.positions;
  if (layout.embedding.uncounted >= 0) {
    const Tensor counted = input.ids.ne(layout.embedding.uncounted).to(at::kLong);
    return counted.cumsum(1) * counted - 1;
  }
  return at::arange(input.ids.size(1), input.ids.options())
      .expand({input.ids.size(0), input.ids.size(1)});
}

Tensor types_of(const Input& input) {
  return input.types.defined() ? input.types : at::zeros_like(input.ids);
}

Pass begin_pass(const Model::State& state, const Tensor& positions,
                const std::vector<AdapterId>& adapters) {
  Pass pass;
  pass.state = &state;
  choose_adapters(pass, adapters, equal_rows(positions.size(0), positions.size(1)));
  for (const architecture::Rope& rope : state.layout.ropes) {
    pass.rotations.push_back(make_rotation(rope, positions));
  }
  return pass;
}

void check_activations(const Tensor& x, const Layout& layout) {
  if (x.dim() == 3 && x.size(2) == layout.hidden_size) return;
  throw Error({{}, "block"}, "expected activations [rows, length, " +
                                 std::to_string(layout.hidden_size) + "], found " +
                                 shape_text(x.sizes().vec()));
}

// Blocks one by one are a decoder's or an encoder's: what an encoder-decoder's see is not there.
void expect_one_stack(const Layout& layout) {
  if (!layout.encoder) return;
  throw Error({{}, "block"}, "expected a decoder or an encoder, found " + layout.family);
}

Tensor counted_positions(const Tensor& x) {
  return at::arange(x.size(1), at::TensorOptions(at::kLong).device(x.device()))
      .expand({x.size(0), x.size(1)});
}

}  // namespace

Model::Model(std::shared_ptr<State> state) : state_(std::move(state)) {}

const Layout& Model::layout() const {
  return state_->layout;
}
at::Device Model::device() const {
  return state_->device;
}
at::ScalarType Model::dtype() const {
  return state_->dtype;
}
void Model::set_checkpointing(bool on) {
  state_->checkpointing = on;
}
void Model::set_training(bool on) {
  state_->training = on;
}
void Model::set_dropout_seed(std::uint64_t seed) {
  state_->dropout_seed = seed;
  state_->dropout_calls = 0;
}

void Model::observe(Observer observer) {
  state_->observer = observer.input || observer.gradient
                         ? std::make_shared<const Observer>(std::move(observer))
                         : nullptr;
}

Tensor Model::embed(const Input& input) {
  expect_one_stack(state_->layout);
  check_input(input, state_->layout);
  const at::NoGradGuard no_grad;
  const Tensor positions = positions_of(input, state_->layout);
  return model::embed(begin_pass(*state_, positions, input.adapters), state_->layout.embedding,
                      {input.ids, positions, types_of(input)});
}

Tensor Model::block(std::int64_t index, const Tensor& x, const std::vector<AdapterId>& adapters) {
  expect_one_stack(state_->layout);
  check_activations(x, state_->layout);
  if (index < 0 || index >= state_->layout.layers()) {
    throw Error({{}, "block"}, "expected a block below " + std::to_string(state_->layout.layers()) +
                                   ", found " + std::to_string(index));
  }
  return forward_block(begin_pass(*state_, counted_positions(x), adapters), index, x);
}

Tensor Model::finish(const Tensor& x, const std::vector<AdapterId>& adapters) {
  expect_one_stack(state_->layout);
  check_activations(x, state_->layout);
  const at::NoGradGuard no_grad;
  return model::finish(begin_pass(*state_, counted_positions(x), adapters), x);
}

Tensor Model::hidden(const Input& given) {
  State& state = *state_;
  const bool reads_twice = state.layout.encoder && architecture::encodes(state.layout);
  if (reads_twice) check_text(given, state.layout);
  const Input input = reads_twice ? source_and_target(state.layout, given) : given;
  check_input(input, state.layout);
  const Tensor positions = positions_of(input, state.layout);
  Pass pass = begin_pass(state, positions, input.adapters);
  if (input.segments.defined()) pass.segments = input.segments.to(at::kCPU).contiguous();
  if (state.training) {
    constexpr std::uint64_t kCallStride = 0xd1342543de82ef95ull;
    pass.dropout_seed = (state.dropout_seed + ++state.dropout_calls * kCallStride) | 1u;
  }
  if (state.layout.encoder) encode(input.source, input.adapters, pass);

  Tensor x = model::embed(pass, state.layout.embedding, {input.ids, positions, types_of(input)});
  if (state.observer != nullptr && state.observer->gradient && at::GradMode::is_enabled()) {
    x.requires_grad_(true);
  }
  x = forward_blocks(pass, state.layout.first_block(), state.layout.layers(), x);
  return model::finish(pass, x);
}

}  // namespace qloft::model
