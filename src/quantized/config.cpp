#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "qloft/core/error.h"
#include "qloft/io/fields.h"
#include "qloft/quantized.h"

namespace qloft::quantized {
namespace {

constexpr const char* kMember = "quantization_config";
constexpr const char* kMethod = "qloft";

MatrixEntry read_entry(const io::Field& json, const std::vector<quant::Format>& formats) {
  const auto shape = json.at("shape").elements();
  if (shape.size() != 2) json.fail("shape", "expected [rows, columns]");
  const std::int64_t index = json.at("format").integer(0);
  if (static_cast<std::uint64_t>(index) >= formats.size()) {
    json.fail("format", "expected the place of one of " + std::to_string(formats.size()) +
                            " formats, found " + std::to_string(index));
  }
  MatrixEntry entry{formats[static_cast<std::size_t>(index)], shape[0].integer(0),
                    shape[1].integer(0)};
  try {
    quant::parts(entry.format, entry.rows, entry.columns);
  } catch (const InputError& error) {
    json.fail("shape", error.what());
  }
  return entry;
}

}  // namespace

QuantizationConfig config_from_json(const io::Json& json, const std::filesystem::path& file) {
  const io::Field root(json, file, kMember);
  const io::Field method = root.at("quant_method");
  if (method.string() != kMethod) {
    method.fail("expected qloft (or an unquantized model), found " + method.string());
  }
  QuantizationConfig config;
  const io::Field version = root.at("version");
  config.version = static_cast<int>(version.integer(0, std::numeric_limits<int>::max()));
  if (config.version < 1 || config.version > kFormatVersion) {
    version.fail("expected 1 to " + std::to_string(kFormatVersion) + ", found " +
                 std::to_string(config.version) + " (written by a newer program?)");
  }
  std::vector<quant::Format> formats;
  for (const io::Field& format : root.at("formats").elements()) {
    formats.push_back(format_from_json(format.json(), file, format.path()));
  }
  for (const auto& [name, entry] : root.at("matrices").members()) {
    config.matrices[name] = read_entry(entry, formats);
  }
  return config;
}

std::optional<QuantizationConfig> read_config(const checkpoint::Checkpoint& source) {
  const io::Json& config = source.config();
  const auto it = config.find(kMember);
  if (it == config.end() || it->is_null()) return std::nullopt;
  return config_from_json(*it, source.folder() / "config.json");
}

io::Json to_json(const QuantizationConfig& config) {
  std::vector<quant::Format> formats;
  io::Json matrices = io::Json::object();
  auto& members = matrices.get_ref<io::Json::object_t&>();
  for (const auto& [name, entry] : config.matrices) {
    auto it = std::find(formats.begin(), formats.end(), entry.format);
    if (it == formats.end()) it = formats.insert(it, entry.format);
    io::Json value;
    value["format"] = it - formats.begin();
    value["shape"] = {entry.rows, entry.columns};
    members.emplace_back(name, std::move(value));  // names of a map are distinct
  }
  io::Json json;
  json["quant_method"] = kMethod;
  json["version"] = config.version;
  json["formats"] = io::Json::array();
  for (const quant::Format& format : formats) json["formats"].push_back(format_to_json(format));
  json["matrices"] = std::move(matrices);
  return json;
}

}  // namespace qloft::quantized
