#include "qloft/adapter.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "config.h"
#include "files.h"
#include "module_names.h"
#include "packed.h"
#include "qloft/checkpoint.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core/error.h"
#include "qloft/core/text.h"
#include "qloft/linalg.h"

namespace qloft::adapter {
namespace fs = std::filesystem;
namespace {

using architecture::Layout;

struct Key {
  std::string module;
  bool is_a = false;
  bool embedding = false;
};

// base_model.model.<module>.lora_A.weight or lora_embedding_A, or lora_A.default.weight as a whole
// model's state has it.
std::optional<Key> parse_key(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  for (const bool is_a : {true, false}) {
    const std::string factor = is_a ? "A" : "B";
    for (const std::string middle : {"", ".default"}) {
      for (const bool embedding : {false, true}) {
        const std::string suffix = embedding ? ".lora_embedding_" + factor + middle
                                             : ".lora_" + factor + middle + ".weight";
        if (name.size() > suffix.size() && name.ends_with(suffix)) {
          return Key{std::string(name.substr(0, name.size() - suffix.size())), is_a, embedding};
        }
      }
    }
  }
  return std::nullopt;
}

// A factor's values, or its codes and their scales.
struct Half {
  const io::TensorInfo* values = nullptr;
  const io::TensorInfo* scales = nullptr;
};

struct Pair {
  Half a, b;
  bool embedding = false;
};

// `name` without `suffix`, where it ends so.
std::optional<std::string_view> without(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  return name.substr(0, name.size() - suffix.size());
}

// PEFT saves the base's own values of an adapted embedding or output matrix too.
std::optional<std::string_view> base_copy(std::string_view name) {
  const auto module = without(name, ".base_layer.weight");
  if (!module || !module->starts_with(kPrefix)) return std::nullopt;
  return module->substr(kPrefix.size());
}

// The parameter of a head that a tensor holds, by its name in the layout; nullopt: it is no such
// tensor. `modules`: modules_to_save.
std::optional<std::string> saved_parameter(std::string_view name,
                                           const std::vector<std::string>& modules,
                                           const Layout& layout) {
  if (modules.empty() || !name.starts_with(kPrefix)) return std::nullopt;
  const std::string parameter(name.substr(kPrefix.size()));
  const auto id = layout.parameters.empty() ? architecture::kNoParameter
                                            : architecture::find(layout, parameter);
  if (id == architecture::kNoParameter || !layout.parameter(id).in_head) return std::nullopt;
  return parameter;
}

// Whether a tensor is of a head that this layout lacks, as modules_to_save names it.
bool of_other_head(std::string_view name, const std::vector<std::string>& modules,
                   const Layout& layout) {
  const architecture::HeadKind own = layout.head.kind;
  if (own != architecture::HeadKind::states && own != architecture::HeadKind::next_token) {
    return false;
  }
  return std::ranges::any_of(modules, [&](const std::string& module) {
    return name.find("." + module + ".") != std::string_view::npos;
  });
}

std::map<std::string, Pair> pair_up(const io::SafetensorsFile& file,
                                    const std::vector<std::string>& saved, const Layout& layout) {
  std::map<std::string, Pair> pairs;
  for (const io::TensorInfo& info : file.tensors()) {
    if (base_copy(info.name) || saved_parameter(info.name, saved, layout) ||
        of_other_head(info.name, saved, layout)) {
      continue;
    }
    const auto of_scales = without(info.name, kScales);
    const auto key = parse_key(of_scales.value_or(without(info.name, kCodes).value_or(info.name)));
    if (!key) {
      throw InputError({file.path(), info.name},
                       "expected base_model.model.MODULE.lora_A.weight or lora_B.weight, found "
                       "another tensor");
    }
    Pair& pair = pairs[key->module];
    pair.embedding = key->embedding;
    Half& half = key->is_a ? pair.a : pair.b;
    const io::TensorInfo*& info_of_half = of_scales ? half.scales : half.values;
    if (info_of_half != nullptr)
      throw InputError({file.path(), info.name}, "this factor comes twice");
    info_of_half = &info;
  }
  if (pairs.empty()) throw InputError({file.path(), {}}, "expected an adapter, found no tensors");
  for (const auto& [module, pair] : pairs) {
    if (pair.a.values == nullptr || pair.b.values == nullptr) {
      const bool is_a = pair.a.values == nullptr;
      throw InputError({file.path(), pair.embedding ? embedding_tensor_name(module, is_a)
                                                    : tensor_name(module, is_a)},
                       "expected both factors of this module, found only the other one");
    }
  }
  return pairs;
}

void expect_finite_floats(const io::SafetensorsFile& file, const io::TensorInfo& info) {
  if (info.type != ElementType::f32 && info.type != ElementType::f16 &&
      info.type != ElementType::bf16 && info.type != ElementType::f8) {
    throw InputError({file.path(), info.name},
                     "expected elements of type F32, F16, BF16 or F8_E4M3, found " +
                         std::string(safetensors_name(info.type)));
  }
  if (!checkpoint::all_finite(file.bytes(info), info.type)) {
    throw InputError({file.path(), info.name}, "expected finite values, found infinity or NaN");
  }
}

std::map<std::string, Matrix> read_saved(const io::SafetensorsFile& file,
                                         const std::vector<std::string>& modules,
                                         const Layout& layout) {
  std::map<std::string, Matrix> out;
  for (const io::TensorInfo& info : file.tensors()) {
    const auto name = saved_parameter(info.name, modules, layout);
    if (!name) continue;
    const architecture::Parameter& parameter = layout.parameter(architecture::find(layout, *name));
    if (info.shape != parameter.shape) {
      throw InputError({file.path(), info.name},
                       "expected the shape " + shape_text(parameter.shape) +
                           " of this model's head, found " + shape_text(info.shape));
    }
    expect_finite_floats(file, info);
    Matrix values(parameter.is_matrix() ? parameter.rows() : 1, parameter.columns());
    checkpoint::convert_to_f32(file.bytes(info), info.type, values.values());
    out.emplace(*name, std::move(values));
  }
  return out;
}

// `is_a`: [rank, in], else [out, rank].
Matrix read_factor(const io::SafetensorsFile& file, const Half& half, bool is_a,
                   std::int64_t rank) {
  const io::TensorInfo& info = *half.values;
  const bool packed = info.name.ends_with(kCodes);
  const std::size_t axis = is_a || packed ? 0 : 1;
  if (info.shape.size() != 2 || info.shape[axis] != rank) {
    const std::string r = std::to_string(rank);
    throw InputError({file.path(), info.name},
                     "expected the shape " + (axis == 0 ? "[" + r + ", in]" : "[out, " + r + "]") +
                         " by the rank in adapter_config.json, found " + shape_text(info.shape));
  }
  if (info.element_count() == 0) throw InputError({file.path(), info.name}, "it has no elements");
  if (packed) {
    Matrix vectors = unpack(file, info, half.scales);
    return is_a ? std::move(vectors) : transposed(vectors.view());
  }
  expect_finite_floats(file, info);
  Matrix matrix(info.shape[0], info.shape[1]);
  checkpoint::convert_to_f32(file.bytes(info), info.type, matrix.values());
  return matrix;
}

// Gathers an adapter under the names of a layout's modules.
class Gathering {
 public:
  // `read`: ranks and alphas by the names of the folder.
  explicit Gathering(const Config& read) : read_(read) {
    adapter_.config = read;
    adapter_.config.rank_pattern.clear();
    adapter_.config.alpha_pattern.clear();
  }

  // `name`: of the folder, for rank and alpha.
  void put(const std::string& module, const std::string& name, Factors factors) {
    set(module, read_.rank_of(name), alpha_of(name));
    adapter_.modules[module] = std::move(factors);
  }
  void put_rows(const ModuleRows& rows, const std::string& name, Factors factors) {
    Factors& all = adapter_.modules[rows.module];
    const bool is_first = all.a.empty();
    if (is_first && rows.count == rows.all) return put(rows.module, name, std::move(factors));
    const double scale = read_.scale_of(name);
    if (factors.b.rows() != rows.count || (!is_first && all.a.columns() != factors.a.columns())) {
      throw InputError({{}, name}, "expected factors for " + std::to_string(rows.count) +
                                       " rows of " + rows.module + ", found " +
                                       std::to_string(factors.b.rows()));
    }
    const double common = is_first ? scale : adapter_.config.scale_of(rows.module);
    add_rows(all, factors, rows, scale, common);
    const auto rank = static_cast<double>(all.a.rows());
    set(rows.module, all.a.rows(), common * (read_.rslora ? std::sqrt(rank) : rank));
  }

  // Targets that name modules of the folder only are left out.
  Adapter finish() {
    std::erase_if(adapter_.config.target_modules, [&](const std::string& target) {
      return std::ranges::none_of(adapter_.modules, [&](const auto& entry) {
        return entry.first == target || entry.first.ends_with("." + target);
      });
    });
    return std::move(adapter_);
  }

 private:
  double alpha_of(const std::string& name) const {
    const auto own = read_.alpha_pattern.find(name);
    return own == read_.alpha_pattern.end() ? read_.alpha : own->second;
  }
  void set(const std::string& module, std::int64_t rank, double alpha) {
    if (rank != read_.rank) adapter_.config.rank_pattern[module] = rank;
    if (alpha != read_.alpha) adapter_.config.alpha_pattern[module] = alpha;
  }

  const Config& read_;
  Adapter adapter_;
};

// The stacks of experts that an adapter_config.json addresses.
std::map<std::string, ExpertStack> read_stacks(const io::Json& json, const fs::path& file,
                                               const ModuleNames& names) {
  const std::vector<std::string> targets = target_parameters(json, file);
  for (const std::string& target : targets) {
    if (names.targeted({target}).empty()) {
      throw InputError({file, "target_parameters"},
                       "expected experts of this model, found \"" + target + "\"");
    }
  }
  return names.targeted(targets);
}

void expect_adapter(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) throw InputError({folder, {}}, "no such folder");
  if (!fs::exists(folder / kConfigFile, error)) {
    throw InputError({folder, {}},
                     "expected an adapter folder with adapter_config.json, found "
                     "none");
  }
  if (!fs::exists(folder / kWeightsFile, error)) {
    const bool pickled = fs::exists(folder / "adapter_model.bin", error);
    throw InputError({folder, {}},
                     pickled ? "expected adapter_model.safetensors, found adapter_model.bin: .bin "
                               "files are not read, convert it to safetensors"
                             : "expected adapter_model.safetensors, found none");
  }
}

double bytes_of(const Pair& pair) {
  std::uint64_t bytes = 0;
  for (const Half& half : {pair.a, pair.b}) {
    bytes += half.values->bytes() + (half.scales == nullptr ? 0 : half.scales->bytes());
  }
  return static_cast<double>(bytes);
}

}  // namespace

Adapter load(const fs::path& folder, const Layout& layout) {
  expect_adapter(folder);
  const fs::path config_file = folder / kConfigFile;
  const io::Json json = io::read_json(config_file);
  // First the fields alone: another kind of adapter is named as such, not by its tensors.
  config_from_json(json, config_file, {}, layout);
  const std::vector<std::string> saved = saved_modules(json, config_file);
  const ModuleNames names(layout);
  const std::map<std::string, ExpertStack> stacks = read_stacks(json, config_file, names);
  const io::SafetensorsFile file(folder / kWeightsFile);
  const std::map<std::string, Pair> pairs = pair_up(file, saved, layout);
  // What the patterns of PEFT are held against.
  const auto own_name = [&](const std::string& module) {
    const auto stack = stacks.find(module);
    return stack == stacks.end() ? module : stack->second.parameter;
  };
  std::vector<std::string> modules;
  modules.reserve(pairs.size());
  for (const auto& [module, pair] : pairs) modules.push_back(own_name(module));

  const Config config = config_from_json(json, config_file, modules, layout);
  Gathering gathering(config);
  for (const auto& [module, pair] : pairs) {
    const std::string name = own_name(module);
    const auto stack = stacks.find(module);
    const std::int64_t experts = stack == stacks.end() ? 1 : stack->second.count();
    const std::int64_t rows = config.rank_of(name) * experts;
    Factors factors{read_factor(file, pair.a, true, rows), read_factor(file, pair.b, false, rows)};
    if (pair.embedding) factors = exchanged(factors);
    if (stack != stacks.end()) {
      for (std::int64_t e = 0; e < experts; ++e) {
        gathering.put(stack->second.modules[static_cast<std::size_t>(e)], name,
                      factors_of_expert(factors, e, experts));
      }
    } else if (const auto other = names.find(module)) {
      gathering.put_rows(*other, name, std::move(factors));
    } else {
      gathering.put(module, name, std::move(factors));
    }
  }
  Adapter out = gathering.finish();
  out.saved = read_saved(file, saved, layout);
  return out;
}

std::map<std::string, double> stored_bytes(const fs::path& folder, const Layout& layout) {
  expect_adapter(folder);
  const fs::path config_file = folder / kConfigFile;
  const ModuleNames names(layout);
  const io::Json json = io::read_json(config_file);
  const auto stacks = read_stacks(json, config_file, names);
  const io::SafetensorsFile file(folder / kWeightsFile);
  std::map<std::string, double> out;
  for (const auto& [module, pair] : pair_up(file, saved_modules(json, config_file), layout)) {
    if (const auto stack = stacks.find(module); stack != stacks.end()) {
      const double part = bytes_of(pair) / static_cast<double>(stack->second.count());
      for (const std::string& expert : stack->second.modules) out[expert] += part;
      continue;
    }
    const auto other = names.find(module);
    out[other ? other->module : module] += bytes_of(pair);
  }
  return out;
}

std::vector<BaseCopy> base_copies(const fs::path& folder, const Layout& layout) {
  std::vector<BaseCopy> out;
  const ModuleNames names(layout);
  const io::SafetensorsFile file(folder / kWeightsFile);
  for (const io::TensorInfo& info : file.tensors()) {
    const auto found = base_copy(info.name);
    if (!found) continue;
    const std::string module(*found);
    const auto other = names.find(module);
    out.push_back({other ? other->module : module, info});
  }
  return out;
}

Matrix read(const fs::path& folder, const BaseCopy& copy) {
  const io::SafetensorsFile file(folder / kWeightsFile);
  const bool is_float = copy.tensor.type == ElementType::f32 ||
                        copy.tensor.type == ElementType::f16 ||
                        copy.tensor.type == ElementType::bf16;
  if (copy.tensor.shape.size() != 2 || !is_float) {
    throw InputError({file.path(), copy.tensor.name}, "expected a matrix of F32, F16 or BF16");
  }
  Matrix matrix(copy.tensor.shape[0], copy.tensor.shape[1]);
  checkpoint::convert_to_f32(file.bytes(copy.tensor), copy.tensor.type, matrix.values());
  return matrix;
}

void merge_into(MatrixView<float> weight, const Factors& factors, double scale,
                const std::string& module) {
  const Matrix& a = factors.a;
  const Matrix& b = factors.b;
  if (b.rows() != weight.rows || a.columns() != weight.columns || a.rows() != b.columns()) {
    throw InputError({{}, module}, "expected adapter factors for a weight of shape " +
                                       shape_text({weight.rows, weight.columns}) + ", found A " +
                                       shape_text({a.rows(), a.columns()}) + " and B " +
                                       shape_text({b.rows(), b.columns()}));
  }
  linalg::multiply(b.view(), linalg::Transpose::no, a.view(), linalg::Transpose::no, weight,
                   static_cast<float>(scale), 1.f);
}

}  // namespace qloft::adapter
