// Inputs behind quantized matrices, beside the full model's.
#include "qloft/calibrate/sequential.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "progress.h"
#include "qloft/calibrate.h"
#include "qloft/core.h"
#include "qloft/linalg.h"
#include "tiny_decoder.h"

namespace qloft::calibrate {
namespace {

using architecture::ParameterId;
using at::Tensor;

std::vector<data::Example> sequences() {
  std::vector<data::Example> out(3);
  Random random(5);
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (std::size_t t = 0; t < 20 + 7 * i; ++t) {
      out[i].ids.push_back(static_cast<tokenizer::TokenId>(random.below(512)));
    }
  }
  return out;
}

ParameterId named(const model::Model& model, const std::string& module) {
  const auto& parameters = model.layout().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].is_matrix() && parameters[i].module() == module) {
      return static_cast<ParameterId>(i);
    }
  }
  throw Error({{}, module}, "expected such a matrix");
}

SequentialSums sums_of(SequentialInputs& inputs, ParameterId id) {
  return std::move(inputs.of({&id, 1}, Progress()).front());
}

// Other values in a matrix's place.
Matrix changed(const model::Model& model, const std::string& module) {
  const architecture::Parameter& parameter = model.layout().parameter(named(model, module));
  Matrix out(parameter.rows(), parameter.columns());
  Random(99).fill_normal(out.values(), 0.f, 0.2f);
  return out;
}

// The inputs of all layers in whole passes of the model with these matrices in place of its own:
// [tokens, columns], f64.
std::map<std::string, Tensor> whole_passes(model::Model& model,
                                           const std::vector<data::Example>& examples,
                                           const std::map<std::string, Matrix>& replaced) {
  const at::NoGradGuard no_grad;
  std::vector<model::Replacement> all;
  for (const auto& [module, values] : replaced) {
    all.push_back({named(model, module), model::dense_for(model, values.view())});
  }
  const model::Exchanged exchanged(model, std::move(all));
  std::map<std::string, std::vector<Tensor>> seen;
  model.observe({.input = [&](const std::string& name,
                              const Tensor& input) { seen[name].push_back(input.to(at::kDouble)); },
                 .gradient = {}});
  for (const data::Example& example : examples) {
    const Tensor ids = at::empty({1, std::ssize(example.ids)}, at::kLong);
    std::ranges::copy(example.ids, ids.data_ptr<std::int64_t>());
    const Tensor hidden = model.hidden({ids});
    seen["lm_head"].push_back(hidden.reshape({-1, hidden.size(-1)}).to(at::kDouble));
  }
  model.observe({});
  std::map<std::string, Tensor> out;
  for (const auto& [name, inputs] : seen) out[name] = at::cat(inputs);
  return out;
}

void expect_mean(const Matrix& found, const Tensor& sum, std::int64_t tokens,
                 const std::string& what) {
  const Tensor mean = (sum / static_cast<double>(tokens)).contiguous();
  ASSERT_EQ(found.rows(), mean.size(0)) << what;
  ASSERT_EQ(found.columns(), mean.size(1)) << what;
  const double largest = mean.abs().max().item<double>();
  const auto* expected = mean.const_data_ptr<double>();
  for (std::int64_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found.data()[i], expected[i], 1e-5 + 2e-5 * largest) << what;
  }
}

TEST(SequentialInputs, AreThoseOfWholePassesThroughEitherModel) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const auto examples = sequences();
  std::int64_t tokens = 0;
  for (const auto& example : examples) tokens += std::ssize(example.ids);
  const auto full = whole_passes(model, examples, {});
  for (const double kept : {kKeptInputs, 0.0}) {
    SequentialInputs inputs(model, examples, nullptr, kept);
    const Progress silent;
    std::map<std::string, Matrix> replaced;
    const auto expect = [&](const std::string& module) {
      const SequentialSums sums = sums_of(inputs, named(model, module));
      const Tensor x = whole_passes(model, examples, replaced).at(module), y = full.at(module);
      expect_mean(sums.gram, x.t().mm(x), tokens, module);
      expect_mean(sums.shift, (y - x).t().mm(x), tokens, module);
    };
    const auto put = [&](const std::string& module) {
      replaced[module] = changed(model, module);
      inputs.put(named(model, module), replaced[module].view());
    };
    put("model.embed_tokens");
    for (const std::string block : {"model.layers.0.", "model.layers.1."}) {
      expect(block + "self_attn.q_proj");
      put(block + "self_attn.q_proj");
      put(block + "self_attn.v_proj");
      expect(block + "self_attn.o_proj");
      put(block + "self_attn.o_proj");
      expect(block + "mlp.gate_proj");
      put(block + "mlp.up_proj");
      expect(block + "mlp.down_proj");
      inputs.advance(silent);
    }
    EXPECT_EQ(inputs.block(), 2);
    expect("lm_head");
  }
}

TEST(SequentialInputs, OfOneInputAreOfEachMatrixWhereItsTokensCountByWeights) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const auto examples = sequences();
  std::int64_t tokens = 0;
  for (const auto& example : examples) tokens += std::ssize(example.ids);
  const std::string block = "model.layers.0.";
  const std::vector<std::string> modules = {block + "mlp.gate_proj", block + "mlp.up_proj"};
  KeptWeights weights;
  std::map<std::string, Tensor> as_tensor;
  std::vector<ParameterId> group;
  Random random(11);
  for (const std::string& module : modules) {
    std::vector<float>& own = weights[module];
    for (std::int64_t i = 0; i < tokens; ++i) own.push_back(static_cast<float>(random.uniform()));
    as_tensor[module] = at::empty({tokens, 1}, at::kDouble);
    std::ranges::copy(own, as_tensor[module].data_ptr<double>());
    group.push_back(named(model, module));
  }
  const auto full = whole_passes(model, examples, {});
  std::map<std::string, Matrix> replaced;
  const std::string value = block + "self_attn.v_proj";
  replaced[value] = changed(model, value);
  const auto quantized = whole_passes(model, examples, replaced);

  SequentialInputs inputs(model, examples, &weights);
  inputs.put(named(model, value), replaced[value].view());
  const std::vector<SequentialSums> sums = inputs.of(group, Progress());
  ASSERT_EQ(sums.size(), modules.size());
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const Tensor x = quantized.at(modules[0]), y = full.at(modules[0]);
    const Tensor weighed = x * as_tensor.at(modules[i]);
    expect_mean(sums[i].gram, weighed.t().mm(x), tokens, modules[i]);
    expect_mean(sums[i].shift, (y - x).t().mm(weighed), tokens, modules[i]);
  }
}

TEST(SequentialInputs, NeedAWeightForEachToken) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const auto examples = sequences();
  const KeptWeights weights = {{"model.layers.0.mlp.down_proj", std::vector<float>(30)}};
  SequentialInputs inputs(model, examples, &weights);
  EXPECT_THROW(sums_of(inputs, named(model, "model.layers.0.mlp.down_proj")), InputError);
}

TEST(SequentialInputs, LeaveTheModelAsItWas) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const auto examples = sequences();
  const auto before = whole_passes(model, examples, {});
  SequentialInputs inputs(model, examples);
  const Progress silent;
  const std::string module = "model.layers.0.self_attn.q_proj";
  inputs.put(named(model, module), changed(model, module).view());
  sums_of(inputs, named(model, "model.layers.0.self_attn.o_proj"));
  inputs.advance(silent);
  const auto after = whole_passes(model, examples, {});
  for (const auto& [name, input] : before) EXPECT_TRUE(input.equal(after.at(name))) << name;
}

TEST(SequentialInputs, HaveNoShiftWhereNothingIsReplaced) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const auto examples = sequences();
  SequentialInputs inputs(model, examples);
  const Progress silent;
  inputs.advance(silent);
  const SequentialSums sums = sums_of(inputs, named(model, "model.layers.1.mlp.down_proj"));
  EXPECT_EQ(std::ranges::count(sums.shift.values(), 0.f), sums.shift.size());
  EXPECT_GT(sums.gram(0, 0), 0.f);
}

TEST(SequentialInputs, GoOnFromTheStatesBetweenTwoBlocks) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const auto examples = sequences();
  const Progress silent;
  const std::string module = "model.layers.0.mlp.down_proj";
  SequentialInputs first(model, examples), second(model, examples);
  first.put(named(model, module), changed(model, module).view());
  first.advance(silent);
  second.restore(first.states());
  EXPECT_EQ(second.block(), 1);
  const ParameterId next = named(model, "model.layers.1.self_attn.o_proj");
  const Matrix shift = sums_of(first, next).shift;
  EXPECT_TRUE(std::ranges::equal(sums_of(second, next).shift.values(), shift.values()));
  EXPECT_GT(linalg::squared_norm(shift.view()), 0.0);
}

TEST(SequentialInputs, StopWhereTheyAreAskedTo) {
  auto model = model::Model::random(test::tiny_decoder(), {}, 3);
  const auto examples = sequences();
  SequentialInputs inputs(model, examples);
  const ParameterId down = named(model, "model.layers.0.mlp.down_proj");
  EXPECT_THROW(inputs.of({&down, 1}, test::StopAtOnce()), Interrupted);
  EXPECT_THROW(inputs.advance(test::StopAtOnce()), Interrupted);
}

// Which expert sees a token depends on what is before it.
TEST(SequentialInputs, OfExpertsAreThoseOfAllOfThemWithoutAShift) {
  auto model = model::Model::random(test::tiny_decoder({{"model_type", "mixtral"},
                                                        {"architectures", {"MixtralForCausalLM"}},
                                                        {"num_local_experts", 4},
                                                        {"num_experts_per_tok", 2}}),
                                    {}, 3);
  const auto examples = sequences();
  SequentialInputs inputs(model, examples);
  const auto& parameters = model.layout().parameters;
  const auto down = std::ranges::find_if(parameters, [](const architecture::Parameter& p) {
    return p.expert == 1 && p.columns() == 80;
  });
  ASSERT_NE(down, parameters.end());
  const auto seen = whole_passes(model, examples, {});
  std::int64_t tokens = 0;
  for (const auto& example : examples) tokens += std::ssize(example.ids);
  Tensor expected;
  for (const architecture::Parameter& p : parameters) {
    if (p.expert < 0 || p.layer != 0 || p.columns() != 80 || !seen.contains(p.module())) continue;
    const Tensor x = seen.at(p.module()), sum = x.t().mm(x);
    expected = expected.defined() ? expected + sum : sum;
  }
  const SequentialSums sums = sums_of(inputs, static_cast<ParameterId>(down - parameters.begin()));
  EXPECT_TRUE(sums.shift.empty());
  expect_mean(sums.gram, expected, tokens, "down projections");
}

}  // namespace
}  // namespace qloft::calibrate
