// Adapters to PEFT folders: at once, or module by module.
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "config.h"
#include "files.h"
#include "module_names.h"
#include "packed.h"
#include "qloft/adapter.h"
#include "qloft/checkpoint.h"
#include "qloft/checkpoint/finite.h"
#include "qloft/core/error.h"

namespace qloft::adapter {
namespace fs = std::filesystem;
namespace {

std::vector<io::TensorInfo> factor_tensors(const std::string& name, bool is_a, std::int64_t rank,
                                           std::int64_t length, ElementType type) {
  if (type == ElementType::i8) return packed_tensors(name, rank, length);
  io::TensorInfo info;
  info.name = name;
  info.type = type;
  info.shape = {is_a ? rank : length, is_a ? length : rank};
  return {info};
}

std::vector<io::TensorInfo> factor_tensors(const WrittenModule& module, bool is_a,
                                           ElementType type) {
  const std::int64_t rank = module.rank * module.count();
  if (module.embedding) {
    return factor_tensors(embedding_tensor_name(module.name, is_a), is_a, rank,
                          is_a ? module.shape.out : module.shape.in, type);
  }
  return factor_tensors(tensor_name(module.name, is_a), is_a, rank,
                        is_a ? module.shape.in : module.shape.out, type);
}

std::vector<io::TensorInfo> infos_of(const std::vector<WrittenModule>& modules, ElementType type) {
  std::vector<io::TensorInfo> infos;
  for (const WrittenModule& module : modules) {
    for (const bool is_a : {true, false}) {
      for (auto& info : factor_tensors(module, is_a, type)) infos.push_back(std::move(info));
    }
  }
  return infos;
}

// Values that are not finite themselves are found by what reads the factors.
std::vector<std::byte> values_as(const Matrix& factor, ElementType type,
                                 const std::string& module) {
  std::vector<std::byte> bytes = checkpoint::convert_from_f32(factor.values(), type);
  if (!checkpoint::all_finite(bytes, type) && checkpoint::all_finite(factor.values())) {
    throw InputError({{}, module}, "expected factors that " + std::string(short_name(type)) +
                                       " holds, found larger values");
  }
  return bytes;
}

// One factor's tensors, in the order of factor_tensors.
std::vector<std::vector<std::byte>> factor_bytes(const Matrix& factor, bool is_a, ElementType type,
                                                 const std::string& module) {
  if (type != ElementType::i8) return {values_as(factor, type, module)};
  const quant::PackedMatrix packed =
      is_a ? pack(factor.view()) : pack(transposed(factor.view()).view());
  std::vector<std::vector<std::byte>> out;
  for (std::size_t i = 0; i < packed.parts().size(); ++i) {
    out.emplace_back(packed.bytes(i).begin(), packed.bytes(i).end());
  }
  return out;
}

// A module's two factors, A's first.
std::vector<std::vector<std::byte>> module_bytes(const WrittenModule& module,
                                                 const Factors& factors, ElementType type) {
  if (module.embedding) {
    WrittenModule plain = module;
    plain.embedding = false;
    return module_bytes(plain, exchanged(factors), type);
  }
  std::vector<std::vector<std::byte>> out = factor_bytes(factors.a, true, type, module.name);
  for (auto& bytes : factor_bytes(factors.b, false, type, module.name))
    out.push_back(std::move(bytes));
  return out;
}

io::TensorInfo saved_tensor(const std::string& name, const Matrix& values, ElementType type,
                            const architecture::Layout& layout) {
  const auto id = architecture::find(layout, name);
  if (id == architecture::kNoParameter || !layout.parameter(id).in_head) {
    throw Error({{}, name}, "no such parameter is in the head of the model");
  }
  io::TensorInfo info;
  info.name = std::string(kPrefix) + name;
  info.type = type;
  info.shape = layout.parameter(id).shape;
  if (values.size() != layout.parameter(id).elements()) {
    throw Error({{}, name}, "the values do not have the shape of the head's parameter");
  }
  return info;
}

// What a folder holds of these modules, and the parameters that it adapts as such.
struct Contents {
  std::vector<WrittenModule> modules;
  std::vector<std::string> parameters;
};

bool is_embedding(const std::string& module, const architecture::Layout& layout) {
  const architecture::ParameterId id = layout.embedding.tokens;
  return id != architecture::kNoParameter && !layout.parameters.empty() &&
         layout.parameter(id).module() == module;
}

Contents contents_of(const Config& config, const std::map<std::string, ModuleShape>& modules,
                     ElementType type, const architecture::Layout& layout) {
  Contents out;
  std::map<std::string, WrittenModule> by_name;
  std::set<std::string> in_stacks;
  if (type != ElementType::i8) {
    std::map<std::string, std::int64_t> ranks;
    for (const auto& [module, shape] : modules) ranks[module] = config.rank_of(module);
    for (auto& [name, stack] : ModuleNames(layout).stacked(ranks, out.parameters)) {
      in_stacks.insert(stack.modules.begin(), stack.modules.end());
      const std::string& first = stack.modules.front();
      by_name[name] = {name, stack.parameter, stack.modules, modules.at(first), ranks.at(first),
                       false};
    }
  }
  for (const auto& [module, shape] : modules) {
    if (in_stacks.contains(module)) continue;
    const bool embedding = type != ElementType::i8 && is_embedding(module, layout);
    by_name[module] = {module, module, {}, shape, config.rank_of(module), embedding};
  }
  for (auto& [name, module] : by_name) out.modules.push_back(std::move(module));
  return out;
}

io::Json config_of(const Config& config, const Contents& contents,
                   const architecture::Layout& layout,
                   const std::map<std::string, Matrix>& saved = {}) {
  Config written = config;
  std::vector<std::string> modules;
  for (const WrittenModule& module : contents.modules) {
    if (module.experts.empty()) modules.push_back(module.own);
    // The patterns of the first expert are those of all.
    for (const std::string& expert : module.experts) {
      if (const auto rank = written.rank_pattern.extract(expert)) {
        written.rank_pattern[module.own] = rank.mapped();
      }
      if (const auto alpha = written.alpha_pattern.extract(expert)) {
        written.alpha_pattern[module.own] = alpha.mapped();
      }
    }
  }
  std::set<std::string> parts;
  for (const auto& [name, values] : saved) parts.insert(saved_module_of(name, layout));
  return config_to_json(written, modules, contents.parameters, {parts.begin(), parts.end()},
                        layout.head.kind);
}

}  // namespace

std::optional<ElementType> storage_from_name(std::string_view name) {
  if (name == "f32") return ElementType::f32;
  if (name == "bf16") return ElementType::bf16;
  if (name == "f16") return ElementType::f16;
  if (name == "f8") return ElementType::f8;
  if (name == "nf8") return ElementType::i8;
  return std::nullopt;
}

void save(const Adapter& adapter, const fs::path& folder, ElementType type,
          const architecture::Layout& layout) {
  std::map<std::string, ModuleShape> shapes;
  for (const auto& [module, factors] : adapter.modules) {
    const std::int64_t rank = adapter.config.rank_of(module);
    if (factors.a.rows() != rank || factors.b.columns() != rank) {
      throw Error({folder, module}, "the factors do not have the rank of the configuration");
    }
    shapes[module] = {factors.b.rows(), factors.a.columns()};
  }
  const Contents contents = contents_of(adapter.config, shapes, type, layout);
  std::vector<std::vector<std::byte>> data;
  for (const WrittenModule& module : contents.modules) {
    Factors stacked;
    if (!module.experts.empty()) {
      std::vector<const Factors*> experts;
      for (const std::string& expert : module.experts) {
        experts.push_back(&adapter.modules.at(expert));
      }
      stacked = stack_factors(experts);
    }
    const Factors& factors = module.experts.empty() ? adapter.modules.at(module.name) : stacked;
    for (auto& bytes : module_bytes(module, factors, type)) data.push_back(std::move(bytes));
  }
  std::vector<io::TensorInfo> infos = infos_of(contents.modules, type);
  // A head stays exact where factors have 8 bits.
  const ElementType head_type = byte_size(type) == 1 ? ElementType::f32 : type;
  for (const auto& [name, values] : adapter.saved) {
    infos.push_back(saved_tensor(name, values, head_type, layout));
    data.push_back(checkpoint::convert_from_f32(values.values(), head_type));
  }
  std::vector<io::NamedBytes> tensors;
  for (std::size_t i = 0; i < infos.size(); ++i) tensors.push_back({infos[i], data[i]});
  io::write_safetensors(folder / kWeightsFile, tensors, {{"format", "pt"}});
  io::write_json(folder / kConfigFile, config_of(adapter.config, contents, layout, adapter.saved));
}

std::uint64_t stored_bytes(const Config& config, const std::map<std::string, ModuleShape>& modules,
                           ElementType type) {
  std::uint64_t sum = 0;
  for (const io::TensorInfo& info :
       infos_of(contents_of(config, modules, type, {}).modules, type)) {
    sum += info.bytes();
  }
  return sum;
}

Writer::Writer(const fs::path& folder, const Config& config,
               const std::map<std::string, Shape>& modules, ElementType type, Mode mode,
               const architecture::Layout& layout)
    : written_(contents_of(config, modules, type, layout).modules),
      type_(type),
      file_(folder / kWeightsFile, infos_of(written_, type), {{"format", "pt"}},
            mode == Mode::create ? io::SafetensorsWriter::Mode::create
                                 : io::SafetensorsWriter::Mode::reopen) {
  for (std::size_t i = 0; i < written_.size(); ++i) {
    if (written_[i].experts.empty()) positions_[written_[i].name] = {i, -1};
    std::int64_t number = 0;
    for (const std::string& expert : written_[i].experts) positions_[expert] = {i, number++};
  }
  if (mode == Mode::reopen) return;
  io::write_json(folder / kConfigFile,
                 config_of(config, contents_of(config, modules, type, layout), layout));
}

void Writer::write(const std::string& module, const Factors& factors) {
  const auto position = positions_.find(module);
  if (position == positions_.end())
    throw Error({file_.path(), module}, "no such module was announced");
  const WrittenModule& written = written_[position->second.written];
  if (factors.a.rows() != written.rank || factors.b.columns() != written.rank ||
      factors.a.columns() != written.shape.in || factors.b.rows() != written.shape.out) {
    throw Error({file_.path(), module}, "the factors are not those that were announced");
  }
  if (position->second.expert >= 0) return write_expert(written, position->second.expert, factors);
  const auto infos = infos_of({written}, type_);
  const auto bytes = module_bytes(written, factors, type_);
  for (std::size_t i = 0; i < infos.size(); ++i) file_.write(infos[i].name, bytes[i]);
}

void Writer::write_expert(const WrittenModule& module, std::int64_t expert,
                          const Factors& factors) {
  const auto a = values_as(factors.a, type_, module.experts[static_cast<std::size_t>(expert)]);
  const auto b = values_as(factors.b, type_, module.experts[static_cast<std::size_t>(expert)]);
  const auto number = static_cast<std::uint64_t>(expert);
  const auto experts = static_cast<std::uint64_t>(module.count());
  file_.write_at(tensor_name(module.name, true), number * a.size(), a);
  // Columns of B, one for each rank and row.
  const std::uint64_t size = b.size() / static_cast<std::uint64_t>(factors.b.size());
  for (std::uint64_t i = 0; i < b.size() / size; ++i) {
    file_.write_at(tensor_name(module.name, false), (i * experts + number) * size,
                   std::span(b).subspan(i * size, size));
  }
}

}  // namespace qloft::adapter
