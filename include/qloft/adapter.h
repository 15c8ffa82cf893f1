#pragma once
// adapter: named low-rank factors with their one scale rule, as PEFT stores them.
//
//   y = x W^T + scale * (x A^T) B^T,   A [rank, in], B [out, rank]
//   scale = alpha / rank, or alpha / sqrt(rank) with rsLoRA (Kalajdzievski 2023)

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/core/matrix.h"
#include "qloft/io.h"

namespace qloft::adapter {

struct Config {
  std::int64_t rank = 16;
  double alpha = 16;
  bool rslora = false;
  double dropout = 0;
  std::vector<std::string> target_modules;  // "q_proj", ...: the last part of a module's name
  std::string base_model;                   // base_model_name_or_path
  std::map<std::string, std::int64_t> rank_pattern;  // module name -> its own rank
  std::map<std::string, double> alpha_pattern;

  std::int64_t rank_of(const std::string& module) const;
  // The one place where alpha and rank become a scale.
  double scale_of(const std::string& module) const;
};

// The factors of one matrix [out, in]. An embedding [vocabulary, width] has them as any other: B a
// row an id. PEFT's lora_embedding_A is B^T, its lora_embedding_B is A^T.
struct Factors {
  Matrix a;  // [rank, in]
  Matrix b;  // [out, rank]
};

// Keyed by module name as in the base model: "model.layers.0.self_attn.q_proj".
struct Adapter {
  Config config;
  std::map<std::string, Factors> modules;
  // Parameters of a head that were trained whole beside the factors, by their names in the base
  // model ("classifier.weight"), a vector as one row: PEFT's modules_to_save.
  std::map<std::string, Matrix> saved;
};

// Reads a PEFT folder (adapter_config.json, adapter_model.safetensors). Throws InputError naming
// file and field for another peft_type, a feature that changes the result and is not supported
// (DoRA, bias, modules_to_save but of a head), a missing half of a pair, or factors whose shapes
// disagree with the rank or whose values are not finite.
//
// Modules come out under the names of `layout`, whichever spelling the folder has: experts that
// PEFT adapts as one parameter (target_parameters), experts by themselves, other prefixes. Names
// that it does not know stay as they are.
Adapter load(const std::filesystem::path& folder, const architecture::Layout& layout = {});

// A matrix of the base model that PEFT saved beside the factors, as it does for an adapted
// embedding or output matrix: PEFT loads it over the base's own. `module`: as the layout names it.
struct BaseCopy {
  std::string module;
  io::TensorInfo tensor;
};
std::vector<BaseCopy> base_copies(const std::filesystem::path& folder,
                                  const architecture::Layout& layout);
// Its values [out, in]. Throws InputError where they are no matrix of floats.
Matrix read(const std::filesystem::path& folder, const BaseCopy& copy);

// How factors may be stored: f32, bf16, f16, f8, and i8 for nf8. Empty if unknown.
std::optional<ElementType> storage_from_name(std::string_view name);

// Writes one that PEFT reads as it is; factors as `type` (f32, bf16, f16 or f8). i8 stores them in
// 8 bits (NF8 in blocks of 64, 8.25 bits a value; LQ-LoRA's compression), which PEFT does not read.
// The folder must exist. Experts of `layout` become one parameter of PEFT's where all of a block
// are adapted; not in 8 bits.
void save(const Adapter& adapter, const std::filesystem::path& folder,
          ElementType type = ElementType::f32, const architecture::Layout& layout = {});

// The shape [out, in] of a module's weight.
struct ModuleShape {
  std::int64_t out = 0;
  std::int64_t in = 0;
};

// A module as a folder holds it: by itself, or the experts of a block together.
struct WrittenModule {
  std::string name;                  // of the tensors
  std::string own;                   // what patterns of the configuration are held against
  std::vector<std::string> experts;  // empty: the module by itself
  ModuleShape shape;
  std::int64_t rank = 0;
  bool embedding = false;  // its tensors are those of PEFT's embeddings
  std::int64_t count() const {
    return experts.empty() ? 1 : static_cast<std::int64_t>(experts.size());
  }
};

// Writes a PEFT folder module by module, for factors that come one after the other: beside the ones
// at hand none is in memory. The folder must exist; it is whole once every module was written.
// Experts are written as `save` writes them.
class Writer {
 public:
  using Shape = ModuleShape;
  // Reopen continues what an interrupted run left; throws InputError if that was another adapter.
  enum class Mode { create, reopen };
  Writer(const std::filesystem::path& folder, const Config& config,
         const std::map<std::string, Shape>& modules, ElementType type, Mode mode,
         const architecture::Layout& layout = {});

  // Throws Error if `factors` do not have the module's shape and rank.
  void write(const std::string& module, const Factors& factors);
  // Flushes what was written to the disk.
  void flush() { file_.flush(); }

 private:
  // Where the factors of a module go.
  struct Position {
    std::size_t written = 0;
    std::int64_t expert = -1;  // -1: the module by itself
  };
  void write_expert(const WrittenModule& module, std::int64_t expert, const Factors& factors);

  std::vector<WrittenModule> written_;
  std::map<std::string, Position> positions_;
  ElementType type_;
  io::SafetensorsWriter file_;
};

// What the factors of such an adapter take on disk.
std::uint64_t stored_bytes(const Config& config,
                           const std::map<std::string, Writer::Shape>& modules, ElementType type);
// What those in the folder take, by the layout's modules; of experts that are stored as one
// parameter each has an equal part. Throws InputError as load does, but looks at no value.
std::map<std::string, double> stored_bytes(const std::filesystem::path& folder,
                                           const architecture::Layout& layout);

// Makes factors great enough for values of 8 bits (f8), of which few lie near zero: a fresh
// adapter's B after some steps is far below them. Powers of two go from A to B within a component,
// and where both are small from alpha to both. All products scale * b * a stay as they were.
void raise_small_factors(Adapter& adapter);

// weight += scale * b * a. Throws InputError naming `module` when shapes disagree.
void merge_into(MatrixView<float> weight, const Factors& factors, double scale,
                const std::string& module);

}  // namespace qloft::adapter
