#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "qloft/core.h"
#include "qloft/core/error.h"
#include "qloft/quantized.h"
#include "support.h"
#include "temporary_folder.h"

namespace qloft::model {
namespace {

using at::Tensor;
using testing::HasSubstr;

using StoredTensors = std::map<std::string, Tensor>;

StoredTensors tensors_of(const Model& model) {
  StoredTensors out;
  for (const auto& [name, tensor] : model.dense_weights()) out[name] = tensor.detach();
  return out;
}

class Loading : public testing::Test {
 protected:
  void write(const io::Json& config, const StoredTensors& tensors) {
    io::write_json(folder_.path() / "config.json", config);
    std::vector<io::NamedBytes> list;
    for (const auto& [name, tensor] : tensors) {
      io::NamedBytes entry;
      entry.info.name = name;
      entry.info.type =
          tensor.scalar_type() == at::kBFloat16 ? ElementType::bf16 : ElementType::f32;
      entry.info.shape = tensor.sizes().vec();
      entry.bytes = {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
      list.push_back(entry);
    }
    io::write_safetensors(folder_.path() / "model.safetensors", list);
  }

  Model load(const LoadOptions& options = {}) {
    Progress silent;
    return Model::load(quantized::ModelFiles(folder_.path()), options, silent);
  }

  std::string error() {
    try {
      load();
    } catch (const InputError& e) {
      return e.what();
    }
    return "no error";
  }

  at::Tensor objectives_loss(Model& model) const {
    const Tensor states = model.hidden(input_).select(0, 0);
    return model.cross_entropy(states, at::arange(11), input_.ids[0].narrow(0, 1, 11), {}, 12);
  }

  test::TemporaryFolder folder_;
  Model random_ = Model::random(small_layout(), {}, 5);
  Input input_{random_ids(2, 12), {}, {}};
};

TEST_F(Loading, GivesTheModelThatWasWritten) {
  write(small_config(), tensors_of(random_));
  Model model = load();
  EXPECT_TRUE(model.hidden(input_).equal(random_.hidden(input_)));
}

TEST_F(Loading, TrainsCopiesInF32) {
  StoredTensors tensors = tensors_of(random_);
  for (auto& [name, tensor] : tensors) tensor = tensor.to(at::kBFloat16);
  write(small_config(), tensors);
  Model model = load({.train_weights = true});
  for (const auto& [name, tensor] : model.trainable()) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat);
    const at::NoGradGuard no_grad;
    tensor.add_(1);  // the mapped file is read-only memory
  }
}

TEST_F(Loading, NamesATensorThatIsMissing) {
  StoredTensors tensors = tensors_of(random_);
  tensors.erase("model.layers.1.mlp.up_proj.weight");
  write(small_config(), tensors);
  EXPECT_THAT(error(), HasSubstr("model.layers.1.mlp.up_proj.weight: this tensor is missing"));
}

TEST_F(Loading, NamesATensorThatIsTooMany) {
  StoredTensors tensors = tensors_of(random_);
  tensors["model.layers.0.self_attn.q_proj.bias"] = at::zeros({32});
  write(small_config(), tensors);
  EXPECT_THAT(error(), HasSubstr("model.layers.0.self_attn.q_proj.bias: this architecture has no"));
}

TEST_F(Loading, NamesATensorOfAnotherShape) {
  StoredTensors tensors = tensors_of(random_);
  tensors["model.norm.weight"] = at::zeros({33});
  write(small_config(), tensors);
  EXPECT_THAT(error(),
              HasSubstr("model.norm.weight: expected the shape [32] by config.json, found [33]"));
}

TEST_F(Loading, PassesOverOldRotaryBuffers) {
  StoredTensors tensors = tensors_of(random_);
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros({4});
  write(small_config(), tensors);
  EXPECT_EQ(error(), "no error");
}

// The folder as quantize would write it, with the named matrices packed.
class LoadingPacked : public Loading {
 protected:
  void write_packed(const std::vector<std::string>& names) {
    quant::Format format;
    format.bits = 3;
    quantized::QuantizationConfig config;
    StoredTensors dense = tensors_of(random_);
    std::map<std::string, quant::PackedMatrix> packed;
    std::vector<io::TensorInfo> infos;
    for (const std::string& name : names) {
      const Tensor weight = dense.at(name);
      packed[name] = quant::quantize(
          MatrixView<const float>(weight.data_ptr<float>(), weight.size(0), weight.size(1)),
          format);
      config.matrices[name] = {format, weight.size(0), weight.size(1)};
      for (const auto& info : quantized::tensors_of(name, config.matrices[name])) {
        infos.push_back(info);
      }
      expected_[name] = at::empty(weight.sizes());
      quant::dequantize(packed[name], MatrixView<float>(expected_[name].data_ptr<float>(),
                                                        weight.size(0), weight.size(1)));
      dense.erase(name);
    }
    for (const auto& [name, tensor] : dense) {
      io::TensorInfo info;
      info.name = name;
      info.shape = tensor.sizes().vec();
      infos.push_back(info);
      expected_[name] = tensor;
    }
    io::Json json = small_config();
    json["quantization_config"] = quantized::to_json(config);
    io::write_json(folder_.path() / "config.json", json);
    checkpoint::Writer writer(folder_.path(), infos, checkpoint::Writer::Mode::create);
    for (const auto& [name, matrix] : packed) quantized::write_matrix(writer, name, matrix);
    for (const auto& [name, tensor] : dense) {
      writer.write(name, {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()});
    }
    writer.finish();
  }

  StoredTensors expected_;  // dense, with the packed ones dequantized
};

TEST_F(LoadingPacked, GivesTheModelOfTheDequantizedWeights) {
  write_packed({"model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight",
                "model.embed_tokens.weight", "lm_head.weight"});
  Model packed = load();
  const double loss = objectives_loss(packed).item<double>();
  write(small_config(), expected_);
  Model dense = load();
  EXPECT_NEAR(loss, objectives_loss(dense).item<double>(), 1e-3);
}

TEST_F(LoadingPacked, RefusesAMatrixThatTheArchitectureLacks) {
  write_packed({"model.layers.0.mlp.up_proj.weight"});
  auto json = io::read_json(folder_.path() / "config.json");
  json["num_hidden_layers"] = 1;
  json["quantization_config"]["matrices"]["model.layers.9.mlp.up_proj.weight"] =
      json["quantization_config"]["matrices"]["model.layers.0.mlp.up_proj.weight"];
  io::write_json(folder_.path() / "config.json", json);
  EXPECT_THAT(error(), HasSubstr("model.layers.9.mlp.up_proj.weight"));
}

TEST_F(LoadingPacked, RefusesToTrainWhatIsPacked) {
  write_packed({"model.layers.0.mlp.up_proj.weight"});
  EXPECT_THROW(load({.train_weights = true}), InputError);
}

TEST(Exchange, PutsAMatrixInItsPlaceAndGivesBackTheOneThatWasThere) {
  const at::NoGradGuard no_grad;
  Model model = small_model(), other = Model::random(small_layout(), {}, 6);
  const Input input{random_ids(1, 7)};
  const at::Tensor before = model.hidden(input);
  for (const architecture::ParameterId id : architecture::linear_layers(model.layout())) {
    const std::string name = model.layout().parameter(id).name;
    const auto values = other.dense_weights();
    const auto found =
        std::ranges::find(values, name, [](const auto& entry) { return entry.first; });
    const at::Tensor own = model.exchange(id, found->second);
    EXPECT_FALSE(model.hidden(input).equal(before)) << name;
    EXPECT_TRUE(model.exchange(id, own).equal(found->second));
    EXPECT_TRUE(model.hidden(input).equal(before)) << name;
  }
}

TEST(Exchange, ReachesWhatIsTied) {
  const at::NoGradGuard no_grad;
  io::Json config = small_config();
  config["tie_word_embeddings"] = true;
  Model model = Model::random(architecture::read_layout(config, "config.json"), {}, 5);
  const auto tokens = model.layout().embedding.tokens;
  const at::Tensor states = model.hidden({random_ids(1, 3)});
  model.exchange(tokens, at::zeros({64, 32}));
  EXPECT_TRUE(model.logits(states).equal(at::zeros({1, 3, 64})));
}

TEST(Exchange, RefusesAnotherShapeAndAPackedMatrix) {
  Model dense = small_model();
  const auto id = architecture::linear_layers(dense.layout()).front();
  EXPECT_THROW(dense.exchange(id, at::zeros({3, 4})), Error);
  quant::Format format;
  format.block = 16;
  Model packed = small_model({}, format);
  EXPECT_THROW(packed.exchange(id, at::zeros({32, 32})), Error);
}

}  // namespace
}  // namespace qloft::model
