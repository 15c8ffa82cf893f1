#pragma once
// What every stage that runs a model begins with: MODEL and its adapter to a loaded model.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/core/progress.h"
#include "qloft/model.h"
#include "qloft/pipeline/arithmetic.h"
#include "qloft/pipeline/model_options.h"
#include "tokenization.h"

namespace qloft::pipeline {

struct LoadedModel {
  quantized::ModelFiles files;
  Tokenization text;
  model::Model model;
  Arithmetic arithmetic;                         // that it computes in
  model::AdapterId adapter = model::kNoAdapter;  // that the options mean

  const checkpoint::Checkpoint& source() const { return files.source(); }
  const tokenizer::Tokenizer& tokenizer() const { return text.tokenizer; }
};

// cpu, cuda or cuda:N. Throws InputError for one that this build or machine lacks.
at::Device device_named(const std::string& name);

inline Arithmetic arithmetic_of(const ModelOptions& options) {
  return {options.dtype, options.matmul, options.cache_type, options.adapter_type,
          options.output_type};
}
// How a model is loaded that computes in what was chosen, its output matrix as it is stored.
model::LoadOptions load_options(const std::string& device, const Arithmetic& chosen);

// The folder of the adapter that these options mean for this model, and what it holds; nullopt:
// none.
std::optional<std::filesystem::path> adapter_folder(const checkpoint::Checkpoint& source,
                                                    const ModelOptions& options);
std::optional<adapter::Adapter> find_adapter(const quantized::ModelFiles& files,
                                             const ModelOptions& options);

// Throws InputError naming the file where the adapter in `folder` has modules that are none of
// these parameters of the layout, or factors of another shape than theirs.
void expect_fits(const adapter::Adapter& adapter, const std::filesystem::path& folder,
                 const architecture::Layout& layout,
                 const std::vector<architecture::ParameterId>& parameters);

// The adapter in `folder`, which fits the model and, but for `any_base`, is of this base.
adapter::Adapter read_adapter(const std::filesystem::path& folder,
                              const quantized::ModelFiles& files, bool any_base);

// Throws InputError where the adapter in `folder` names as its base a folder that is there and
// holds other weights than the model: a sum of the two would be neither. One inside the model's
// folder belongs to it.
void expect_base(const adapter::Adapter& adapter, const std::filesystem::path& folder,
                 const quantized::ModelFiles& files);

// The folders whose weights these options read: the model's and the adapter's.
std::vector<std::filesystem::path> weights_read(const checkpoint::Checkpoint& source,
                                                const ModelOptions& options);

// Of its contents; empty: there is none.
std::string adapter_fingerprint(const checkpoint::Checkpoint& source, const ModelOptions& options);

// All but the weights, so that what cannot be used is refused before they are read.
struct ModelInputs {
  quantized::ModelFiles files;
  Tokenization text;
  std::optional<adapter::Adapter> adapter;
  model::LoadOptions load;
  ArithmeticChoice choice;

  const tokenizer::Tokenizer& tokenizer() const { return text.tokenizer; }
};

// `head`: that the model is given where it has none that fits; nullopt: it must predict next
// tokens, with `takes_source` of a text or of a target that it makes of one.
ModelInputs open_model(const ModelOptions& options,
                       const std::optional<architecture::HeadRequest>& head = std::nullopt,
                       bool takes_source = false);
// The same of a folder alone; `seed`: of a head that is made anew.
quantized::ModelFiles open_files(const std::filesystem::path& folder,
                                 const std::optional<architecture::HeadRequest>& head,
                                 std::uint64_t seed, bool takes_source = false);
// The first parameter of its head that neither the model nor the adapter has; nullopt: none.
std::optional<std::string> untrained_head(const quantized::ModelFiles& files,
                                          const std::optional<adapter::Adapter>& adapter);
LoadedModel load_model(ModelInputs inputs, Progress& progress);

}  // namespace qloft::pipeline
