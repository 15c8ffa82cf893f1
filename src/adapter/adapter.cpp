#include "qloft/adapter.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "config.h"
#include "packed.h"
#include "qloft/checkpoint.h"
#include "qloft/core/error.h"
#include "qloft/linalg.h"

namespace qloft::adapter {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";

struct Key {
  std::string module;
  bool is_a = false;
};

// base_model.model.<module>.lora_A.weight, or lora_A.default.weight as a whole model's state has
// it.
std::optional<Key> parse_key(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  for (const bool is_a : {true, false}) {
    for (const std::string_view middle : {"", ".default"}) {
      const std::string suffix =
          std::string(is_a ? ".lora_A" : ".lora_B") + std::string(middle) + ".weight";
      if (name.size() > suffix.size() && name.ends_with(suffix)) {
        return Key{std::string(name.substr(0, name.size() - suffix.size())), is_a};
      }
    }
  }
  return std::nullopt;
}

std::string tensor_name(const std::string& module, bool is_a) {
  return std::string(kPrefix) + module + (is_a ? ".lora_A.weight" : ".lora_B.weight");
}

io::TensorInfo tensor_info(const std::string& module, bool is_a, std::int64_t rows,
                           std::int64_t columns, ElementType type) {
  io::TensorInfo info;
  info.name = tensor_name(module, is_a);
  info.type = type;
  info.shape = {rows, columns};
  return info;
}

// A factor's values, or its codes and their scales.
struct Half {
  const io::TensorInfo* values = nullptr;
  const io::TensorInfo* scales = nullptr;
};

struct Pair {
  Half a, b;
};

// `name` without `suffix`, where it ends so.
std::optional<std::string_view> without(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  return name.substr(0, name.size() - suffix.size());
}

std::map<std::string, Pair> pair_up(const io::SafetensorsFile& file) {
  std::map<std::string, Pair> pairs;
  for (const io::TensorInfo& info : file.tensors()) {
    const auto of_scales = without(info.name, kScales);
    const auto key = parse_key(of_scales.value_or(without(info.name, kCodes).value_or(info.name)));
    if (!key) {
      throw InputError({file.path(), info.name},
                       "expected base_model.model.MODULE.lora_A.weight or lora_B.weight, found "
                       "another tensor");
    }
    Pair& pair = pairs[key->module];
    Half& half = key->is_a ? pair.a : pair.b;
    const io::TensorInfo*& place = of_scales ? half.scales : half.values;
    if (place != nullptr) throw InputError({file.path(), info.name}, "this factor comes twice");
    place = &info;
  }
  if (pairs.empty()) throw InputError({file.path(), {}}, "expected an adapter, found no tensors");
  for (const auto& [module, pair] : pairs) {
    if (pair.a.values == nullptr || pair.b.values == nullptr) {
      throw InputError({file.path(), tensor_name(module, pair.a.values == nullptr)},
                       "expected both factors of this module, found only the other one");
    }
  }
  return pairs;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  }
  return text + "]";
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
    return is_a ? vectors : transposed(vectors.view());
  }
  if (info.type != ElementType::f32 && info.type != ElementType::f16 &&
      info.type != ElementType::bf16) {
    throw InputError({file.path(), info.name},
                     "expected elements of type F32, F16 or BF16, found " +
                         std::string(safetensors_name(info.type)));
  }
  Matrix matrix(info.shape[0], info.shape[1]);
  checkpoint::convert_to_f32(file.bytes(info), info.type, matrix.values());
  return matrix;
}

}  // namespace

Adapter load(const fs::path& folder) {
  std::error_code error;
  const fs::path config_file = folder / kConfigFile;
  const fs::path weights_file = folder / kWeightsFile;
  if (!fs::is_directory(folder, error)) throw InputError({folder, {}}, "no such folder");
  if (!fs::exists(config_file, error)) {
    throw InputError({folder, {}},
                     "expected an adapter folder with adapter_config.json, found "
                     "none");
  }
  if (!fs::exists(weights_file, error)) {
    const bool pickled = fs::exists(folder / "adapter_model.bin", error);
    throw InputError({folder, {}},
                     pickled ? "expected adapter_model.safetensors, found adapter_model.bin: .bin "
                               "files are not read, convert it to safetensors"
                             : "expected adapter_model.safetensors, found none");
  }
  const io::Json json = io::read_json(config_file);
  // First the fields alone: another kind of adapter is named as such, not by its tensors.
  config_from_json(json, config_file, {});
  const io::SafetensorsFile file(weights_file);
  const std::map<std::string, Pair> pairs = pair_up(file);
  std::vector<std::string> modules;
  for (const auto& [module, pair] : pairs) modules.push_back(module);

  Adapter adapter;
  adapter.config = config_from_json(json, config_file, modules);
  for (const auto& [module, pair] : pairs) {
    const std::int64_t rank = adapter.config.rank_of(module);
    adapter.modules[module] = {read_factor(file, pair.a, true, rank),
                               read_factor(file, pair.b, false, rank)};
  }
  return adapter;
}

namespace {

std::vector<io::TensorInfo> factor_tensors(const std::string& module, bool is_a, std::int64_t rank,
                                           std::int64_t length, ElementType type) {
  if (type == ElementType::i8) return packed_tensors(tensor_name(module, is_a), rank, length);
  return {tensor_info(module, is_a, is_a ? rank : length, is_a ? length : rank, type)};
}

std::vector<io::TensorInfo> infos_of(const Config& config,
                                     const std::map<std::string, Writer::Shape>& modules,
                                     ElementType type) {
  std::vector<io::TensorInfo> infos;
  for (const auto& [module, shape] : modules) {
    for (const bool is_a : {true, false}) {
      for (auto& info : factor_tensors(module, is_a, config.rank_of(module),
                                       is_a ? shape.in : shape.out, type)) {
        infos.push_back(std::move(info));
      }
    }
  }
  return infos;
}

// One factor's tensors, in the order of factor_tensors.
std::vector<std::vector<std::byte>> factor_bytes(const Matrix& factor, bool is_a,
                                                 ElementType type) {
  if (type != ElementType::i8) return {checkpoint::convert_from_f32(factor.values(), type)};
  const quant::PackedMatrix packed =
      is_a ? pack(factor.view()) : pack(transposed(factor.view()).view());
  std::vector<std::vector<std::byte>> out;
  for (std::size_t i = 0; i < packed.parts().size(); ++i) {
    out.emplace_back(packed.bytes(i).begin(), packed.bytes(i).end());
  }
  return out;
}

}  // namespace

std::optional<ElementType> storage_from_name(std::string_view name) {
  if (name == "f32") return ElementType::f32;
  if (name == "bf16") return ElementType::bf16;
  if (name == "f16") return ElementType::f16;
  if (name == "nf8") return ElementType::i8;
  return std::nullopt;
}

void save(const Adapter& adapter, const fs::path& folder, ElementType type) {
  std::vector<std::string> modules;
  std::vector<std::vector<std::byte>> data;
  std::vector<io::TensorInfo> infos;
  for (const auto& [module, factors] : adapter.modules) {
    const std::int64_t rank = adapter.config.rank_of(module);
    if (factors.a.rows() != rank || factors.b.columns() != rank) {
      throw Error({folder, module}, "the factors do not have the rank of the configuration");
    }
    modules.push_back(module);
    for (const bool is_a : {true, false}) {
      const Matrix& factor = is_a ? factors.a : factors.b;
      const std::int64_t length = is_a ? factor.columns() : factor.rows();
      for (auto& info : factor_tensors(module, is_a, rank, length, type)) {
        infos.push_back(std::move(info));
      }
      for (auto& bytes : factor_bytes(factor, is_a, type)) data.push_back(std::move(bytes));
    }
  }
  std::vector<io::NamedBytes> tensors;
  for (std::size_t i = 0; i < infos.size(); ++i) tensors.push_back({infos[i], data[i]});
  io::write_safetensors(folder / kWeightsFile, tensors, {{"format", "pt"}});
  io::write_json(folder / kConfigFile, config_to_json(adapter.config, modules));
}

std::uint64_t stored_bytes(const Config& config,
                           const std::map<std::string, Writer::Shape>& modules, ElementType type) {
  std::uint64_t sum = 0;
  for (const io::TensorInfo& info : infos_of(config, modules, type)) sum += info.bytes();
  return sum;
}

Writer::Writer(const fs::path& folder, Config config, const std::map<std::string, Shape>& modules,
               ElementType type, Mode mode)
    : config_(std::move(config)),
      modules_(modules),
      type_(type),
      file_(folder / kWeightsFile, infos_of(config_, modules, type), {{"format", "pt"}},
            mode == Mode::create ? io::SafetensorsWriter::Mode::create
                                 : io::SafetensorsWriter::Mode::reopen) {
  if (mode == Mode::reopen) return;
  std::vector<std::string> names;
  for (const auto& [module, shape] : modules) names.push_back(module);
  io::write_json(folder / kConfigFile, config_to_json(config_, names));
}

void Writer::write(const std::string& module, const Factors& factors) {
  const auto it = modules_.find(module);
  const std::int64_t rank = config_.rank_of(module);
  if (it == modules_.end() || factors.a.rows() != rank || factors.b.columns() != rank ||
      factors.a.columns() != it->second.in || factors.b.rows() != it->second.out) {
    throw Error({file_.path(), module}, "the factors are not those that were announced");
  }
  for (const bool is_a : {true, false}) {
    const auto infos =
        factor_tensors(module, is_a, rank, is_a ? it->second.in : it->second.out, type_);
    const auto bytes = factor_bytes(is_a ? factors.a : factors.b, is_a, type_);
    for (std::size_t i = 0; i < infos.size(); ++i) file_.write(infos[i].name, bytes[i]);
  }
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
