#pragma once
// A model folder, dense or quantized, held against its Layout: the one check of tensors that every
// command makes before it works, and the one way to a parameter's values however a checkpoint
// spells or stores them.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qloft/architecture.h"
#include "qloft/checkpoint.h"
#include "qloft/core/matrix.h"
#include "qloft/quantized.h"

namespace qloft::quantized {

class ModelFiles {
 public:
  // Opens the folder and checks that its tensors are those of its config.json. Throws InputError
  // naming folder and tensor for one that is missing, misshapen, of no float type, or that this
  // architecture does not have. `head`: in place of the one that config.json names. A head's
  // parameters that the checkpoint lacks, or has for other labels than asked for, are made anew
  // from `seed`, normal by initializer_range, and head_warning() says so.
  explicit ModelFiles(const std::filesystem::path& folder,
                      const std::optional<architecture::HeadRequest>& head = std::nullopt,
                      std::uint64_t seed = 0);

  const checkpoint::Checkpoint& source() const { return *source_; }
  const std::filesystem::path& folder() const { return source_->folder(); }
  // As config.json has it; where an output matrix that it calls tied is there and differs from the
  // embedding, with values of its own; where a T5 that it calls not tied has none, with the
  // embedding's (both as transformers 5 loads it).
  const architecture::Layout& layout() const { return layout_; }
  // config.json, with the head that was asked for.
  const io::Json& config() const { return *config_; }
  const std::optional<QuantizationConfig>& quantization() const { return quantization_; }
  // What the person should know, a line each.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // Which parameters of its head are made anew; empty: none.
  const std::string& head_warning() const { return head_warning_; }

  // How a packed parameter is stored; null: it is dense.
  const MatrixEntry* packed(architecture::ParameterId id) const;
  // Of a dense parameter: F32, F16 or BF16.
  ElementType type(architecture::ParameterId id) const;
  // The tensors that hold a dense parameter, or the parts of a packed one; none where it is made
  // anew.
  std::vector<std::string> tensors(architecture::ParameterId id) const;
  // The stored bytes of a dense parameter where they lie in one piece, in the order in which they
  // are used; nullopt: read_matrix puts them together.
  std::optional<std::span<const std::byte>> bytes(architecture::ParameterId id) const;
  // Dense or packed, as f32 [out, in]; a vector as one row.
  Matrix read_matrix(architecture::ParameterId id) const;
  quant::PackedMatrix read_packed(architecture::ParameterId id) const;
  // Lets the system take its pages back.
  void drop(architecture::ParameterId id) const;

  // Tensors of the checkpoint that are no part of the model.
  std::vector<std::string> foreign() const;

 private:
  const architecture::Storage& storage(architecture::ParameterId id) const;
  std::string stored_name(const std::string& name) const;
  void find_packed();
  void tie_where_output_is_missing();
  void find_storages(bool head_asked_for);
  void check_names() const;
  void untie_where_values_differ();
  // Of a head's parameter that the checkpoint lacks.
  Matrix made_anew(architecture::ParameterId id) const;

  std::shared_ptr<const checkpoint::Checkpoint> source_;  // shared by copies
  std::shared_ptr<const io::Json> config_;                // likewise
  std::uint64_t seed_ = 0;
  architecture::Layout layout_;
  std::optional<QuantizationConfig> quantization_;
  std::vector<std::string> packed_names_;  // in the folder, by ParameterId; empty: dense
  std::vector<architecture::Storage>
      storages_;  // by ParameterId; empty: packed, tied, or made anew
  std::vector<std::string> warnings_;
  std::string head_warning_;
};

// The tensors that a full-precision checkpoint of this parameter is written as, in `type`.
std::vector<io::TensorInfo> published_tensors(const architecture::Parameter& parameter,
                                              ElementType type);
// The bytes of one of them, from the values [out, in] of the whole parameter.
std::vector<std::byte> published_bytes(const architecture::Parameter& parameter, std::size_t piece,
                                       MatrixView<const float> values, ElementType type);

}  // namespace qloft::quantized
